//! Pages of the store, against bytes written down by another program.

use mixlet::engine::pages::{
    Entry, FinishedSet, Given, Held, PageError, Piece, Seen, read_finished, read_page, write_finished_page, write_page,
};
use mixlet::message::{Context, SenderTag};
use serde_json::Value;

use crate::support::{Fields, test, vectors};

fn entries<E: Entry>(shelf: &str) -> (Vec<E>, Vec<Value>) {
    let file = vectors!("pages.json");
    let page = file.field(shelf).bytes("page");
    let entries = read_page::<E>(&page).unwrap();
    assert_eq!(write_page(&entries), page);
    (entries, file.field(shelf).list("entries").to_vec())
}

fn context(entry: &Value) -> Context {
    if entry.field("tag").is_null() { Context::Unknown } else { Context::Tag(SenderTag(entry.array("tag"))) }
}

#[test]
fn keys_given_out_are_read_and_written() {
    let (given, expected) = entries::<Given>("given");
    assert_eq!(given.len(), expected.len());
    for (entry, expected) in given.iter().zip(&expected) {
        assert_eq!(entry.tag.0, expected.array("tag"));
        assert_eq!(entry.to.to_bytes(), expected.array("address"));
        assert_eq!(entry.since, expected.number("since"));
        let keys = expected.list("keys").iter().map(|key| crate::support::hex(key.as_str().unwrap()));
        assert!(entry.keys.iter().map(|key| key.as_bytes().to_vec()).eq(keys));
    }
}

#[test]
fn surbs_held_are_read_and_written() {
    let (held, expected) = entries::<Held>("held");
    assert_eq!(held.len(), expected.len());
    for (entry, expected) in held.iter().zip(&expected) {
        assert_eq!(entry.tag.0, expected.array("tag"));
        assert_eq!(entry.since, expected.number("since"));
        assert_eq!(u64::from(entry.rotation_id), expected.number("rotation"));
        assert_eq!(u64::from(entry.rotation.to_byte()), expected.number("rotation_tag"));
        let surbs = expected.list("surbs");
        assert_eq!(entry.surbs.len(), surbs.len());
        for (surb, expected) in entry.surbs.iter().zip(surbs) {
            assert_eq!(*surb.key.as_bytes(), expected.array("key"));
            assert_eq!(surb.surb.to_bytes(), expected.bytes("surb"));
        }
    }
}

#[test]
fn finished_sets_are_read_and_written() {
    let file = vectors!("pages.json");
    let page = file.field("finished").bytes("page");
    let (key, sets) = read_finished(&page).unwrap();
    assert_eq!(key, file.field("finished").array("key"));
    assert_eq!(write_finished_page(&key, &sets), page);
    let expected = file.field("finished").list("entries").iter().map(|expected| FinishedSet {
        context: context(expected),
        set: mixlet::message::SetId::new(expected.number("set") as u32).unwrap(),
        since: expected.number("since"),
        digests: expected
            .list("digests")
            .iter()
            .map(|digest| u64::from_str_radix(digest.as_str().unwrap(), 16).unwrap())
            .collect(),
    });
    assert_eq!(sets, expected.collect::<Vec<_>>());
}

#[test]
fn ids_seen_are_read_and_written() {
    let (seen, expected) = entries::<Seen>("seen");
    let expected = expected.iter().map(|entry| Seen { id: entry.array("id"), since: entry.number("since") });
    assert_eq!(seen, expected.collect::<Vec<_>>());
}

#[test]
fn fragments_are_read_and_written() {
    let (pieces, expected) = entries::<Piece>("unfinished");
    let expected = expected.iter().map(|entry| Piece {
        context: context(entry),
        since: entry.number("since"),
        fragment: entry.bytes("fragment"),
    });
    assert!(pieces == expected.collect::<Vec<_>>());
}

#[test]
fn damaged_pages_and_those_of_later_versions_are_refused_whole() {
    for case in vectors!("pages.json").list("refused") {
        let page = case.bytes("page");
        let error = match case.text("shelf") {
            "given" => read_page::<Given>(&page).err(),
            "held" => read_page::<Held>(&page).err(),
            "finished" => read_finished(&page).err(),
            "seen" => read_page::<Seen>(&page).err(),
            _ => read_page::<Piece>(&page).err(),
        };
        let version = page.first().copied().unwrap_or(0);
        let expected = if case.text("error") == "version" { PageError::Version(version) } else { PageError::Malformed };
        assert_eq!(error, Some(expected), "{case}");
    }
}
