//! Records of the inbox and the outbox, against bytes that another program has written.

use mixlet::engine::{Priority, Recipient, Replies};
use mixlet::exchange::envelope::Id;
use mixlet::exchange::{InboxEntry, OutboxEntry, Receipt};
use mixlet::message::{Address, SenderTag};
use serde_json::Value;

use crate::support::{Fields, test, vectors};

fn file() -> Value {
    vectors!("mail.json")
}

/// The peer of an entry.
fn peer(file: &Value, what: &str) -> Option<Recipient> {
    match what {
        "none" => None,
        "tag" => Some(Recipient::Tag(SenderTag(file.bytes("tag").try_into().unwrap()))),
        _ => Some(Recipient::Address(Address::from_bytes(&file.bytes("address").try_into().unwrap()).unwrap())),
    }
}

fn id(entry: &Value, name: &str) -> Id {
    Id(entry.bytes(name).try_into().unwrap())
}

#[test]
fn entries_of_the_inbox_are_read_and_written() {
    let file = file();
    for case in file.list("inbox") {
        let entry = InboxEntry {
            id: id(case, "id"),
            enveloped: case.number("enveloped") == 1,
            at: case.number("at"),
            from: peer(&file, case.text("from")),
            body: case.bytes("body"),
        };
        assert_eq!(*entry.to_bytes(), case.bytes("bytes"));
        let read = InboxEntry::from_bytes(&case.bytes("bytes")).unwrap();
        assert!(read.from == entry.from && read.id == entry.id && read.body == entry.body);
        assert_eq!((read.enveloped, read.at), (entry.enveloped, entry.at));
    }
}

#[test]
fn entries_of_the_outbox_are_read_and_written() {
    let file = file();
    for case in file.list("outbox") {
        let entry = OutboxEntry {
            id: id(case, "id"),
            envelope: id(case, "envelope"),
            created: case.number("created"),
            expires: case.number("expires"),
            replies: match u32::try_from(case.number("replies")).unwrap() {
                u32::MAX => Replies::Auto,
                count => Replies::Exactly(count),
            },
            priority: [Priority::High, Priority::Normal, Priority::Bulk][case.number("priority") as usize],
            receipt: [Receipt::Auto, Receipt::No, Receipt::Yes][case.number("receipt") as usize],
            to: peer(&file, case.text("to")).unwrap(),
            len: u32::try_from(case.number("len")).unwrap(),
            is_cut: case.number("cut") == 1,
            content: case.bytes("content"),
        };
        assert_eq!(*entry.to_bytes(), case.bytes("bytes"));
        let read = OutboxEntry::from_bytes(&case.bytes("bytes")).unwrap();
        assert_eq!(*read.to_bytes(), case.bytes("bytes"));
        assert!(read.to == entry.to && read.content == entry.content);
        assert_eq!((read.len, read.is_cut, read.expires), (entry.len, entry.is_cut, entry.expires));
    }
}

#[test]
fn entries_cut_short_are_refused() {
    let file = file();
    for (case, content) in file.list("outbox").iter().zip([5, 200, 13]) {
        let bytes = case.bytes("bytes");
        // The content may have any length.
        for len in 0..bytes.len() - content {
            assert!(OutboxEntry::from_bytes(&bytes[..len]).is_none(), "{len}");
        }
    }
}
