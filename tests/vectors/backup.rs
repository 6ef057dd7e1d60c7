//! Exported identities, against files that other programs have made.

use mixlet::backup::{Backup, BackupError, Cost};
use mixlet::identity::Identity;
use mixlet::limits;
use serde_json::Value;

use crate::support::{Fields, Script, test, vectors};

fn cases() -> Vec<Value> {
    vectors!("backup.json").list("cases").to_vec()
}

#[test]
fn exported_identities_are_read_and_written() {
    for case in cases() {
        let passphrase = case.text("passphrase");
        let backup = Backup::open(&case.bytes("bytes"), passphrase).unwrap();
        assert_eq!(*backup.identity.to_bytes(), case.bytes("identity"));
        let registration = backup.registration.as_ref().map(|one| one.to_bytes().to_vec()).unwrap_or_default();
        assert_eq!(registration, case.bytes("registration"));
        let cost = Cost {
            memory_kib: u32::try_from(case.number("memory_kib")).unwrap(),
            passes: u8::try_from(case.number("passes")).unwrap(),
        };
        let mut rng = Script::new(&[&case.bytes("salt"), &case.bytes("nonce")]);
        assert_eq!(backup.seal(passphrase, cost, &mut rng).unwrap(), case.bytes("bytes"));
    }
}

#[test]
fn nothing_but_the_passphrase_opens_them() {
    let case = &cases()[0];
    let (file, passphrase) = (case.bytes("bytes"), case.text("passphrase"));
    let refused = |file: &[u8], passphrase: &str| Backup::open(file, passphrase).err().expect("it is refused");
    assert_eq!(refused(&file, "correct horse battery"), BackupError::Passphrase);
    // What it says of itself is authentic: fewer passes, another salt or nonce, cut or longer.
    for at in (9..file.len()).step_by(7) {
        let mut other = file.clone();
        other[at] ^= 1;
        assert!(matches!(refused(&other, passphrase), BackupError::Passphrase | BackupError::Cost), "{at}");
    }
    for len in 55..file.len() {
        assert_eq!(refused(&file[..len], passphrase), BackupError::Passphrase);
    }
    for len in 9..55 {
        assert_eq!(refused(&file[..len], passphrase), BackupError::NotOne);
    }
    assert_eq!(refused(&[file.as_slice(), &[0]].concat(), passphrase), BackupError::Passphrase);
}

#[test]
fn a_file_cannot_ask_for_more_than_there_is() {
    let case = &cases()[0];
    let file = case.bytes("bytes");
    let with = |at: usize, bytes: &[u8]| {
        let mut other = file.clone();
        other[at..at + bytes.len()].copy_from_slice(bytes);
        Backup::open(&other, "x").err()
    };
    assert_eq!(with(0, b"M"), Some(BackupError::NotOne));
    assert_eq!(with(8, &[2]), Some(BackupError::Version(2)));
    assert_eq!(with(9, &(limits::KDF_MEMORY_KIB_MAX + 1).to_be_bytes()), Some(BackupError::Cost));
    assert_eq!(with(9, &7_u32.to_be_bytes()), Some(BackupError::Cost));
    assert_eq!(with(13, &[limits::KDF_PASSES_MAX + 1]), Some(BackupError::Cost));
    assert_eq!(with(13, &[0]), Some(BackupError::Cost));
    assert_eq!(with(14, &[2]), Some(BackupError::Cost));
    assert_eq!(Backup::open(&vec![0; limits::BACKUP_LEN_MAX + 1], "x").err(), Some(BackupError::NotOne));
    assert_eq!(Backup::open(&[], "x").err(), Some(BackupError::NotOne));
}

#[test]
fn the_usual_cost_works_and_each_file_is_another() {
    let identity = Identity::generate(&mut Script::new(&[&[7; 32], &[8; 32], &[9; 16]]));
    let keys = identity.to_bytes();
    let backup = Backup { identity, registration: None };
    let sealed =
        |byte: u8| backup.seal("a passphrase", Cost::default(), &mut Script::new(&[&[byte; 16], &[byte; 24]])).unwrap();
    let [one, two] = [sealed(1), sealed(2)];
    assert_ne!(one, two);
    assert_eq!(*Backup::open(&one, "a passphrase").unwrap().identity.to_bytes(), *keys);
    assert!(!one.windows(16).any(|window| keys.windows(16).any(|key| key == window)));
}
