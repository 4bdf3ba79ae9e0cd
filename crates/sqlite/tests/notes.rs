//! Notes and logs.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::Folder;
use xmpp_e2e_sqlite::{Account, Database, Entry};

fn accounts(test: impl Fn(Account)) {
    let folder = Folder::new();
    test(Database::open(folder.path()).unwrap().account("romeo@example.net").unwrap());
    let folder = Folder::new();
    test(Database::open_sealed(folder.path(), &folder.key).unwrap().account("romeo@example.net").unwrap());
}

fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|(_, entry)| core::str::from_utf8(entry).unwrap()).collect()
}

#[test]
fn notes_are_set_replaced_and_deleted() {
    accounts(|account| {
        assert!(account.note("a").unwrap().is_none());
        account.set_note("a", Some(b"")).unwrap();
        account.set_note("b", Some(&vec![7; 100_000])).unwrap();
        assert!(account.note("a").unwrap().unwrap().is_empty());
        account.set_note("a", Some(b"1")).unwrap();
        assert_eq!(account.note("a").unwrap().unwrap().as_slice(), b"1");
        assert_eq!(account.note("b").unwrap().unwrap().as_slice(), vec![7; 100_000]);
        account.set_note("a", None).unwrap();
        account.set_note("a", None).unwrap();
        assert!(account.note("a").unwrap().is_none() && account.note("b").unwrap().is_some());
    });
}

#[test]
fn entries_come_in_their_order() {
    accounts(|account| {
        let ids: Vec<_> =
            ["1", "2", "3", "4", "5"].map(|entry| account.append("log", entry.as_bytes()).unwrap()).into();
        account.append("other", b"x").unwrap();
        assert!(ids.is_sorted());
        let all = account.entries("log", None, usize::MAX).unwrap();
        assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
        assert_eq!(texts(&all), ["1", "2", "3", "4", "5"]);
        assert_eq!(texts(&account.entries("log", None, 2).unwrap()), ["1", "2"]);
        assert_eq!(texts(&account.entries("log", Some(ids[1]), 2).unwrap()), ["3", "4"]);
        assert!(account.entries("log", Some(ids[4]), 2).unwrap().is_empty());
        assert_eq!(texts(&account.last_entries("log", None, 2).unwrap()), ["4", "5"]);
        assert_eq!(texts(&account.last_entries("log", Some(ids[3]), 2).unwrap()), ["2", "3"]);
        assert!(account.last_entries("log", Some(ids[0]), 2).unwrap().is_empty());
        assert!(account.entries("none", None, 2).unwrap().is_empty());

        assert!(account.replace_entry(ids[2], b"three").unwrap());
        assert!(account.remove_entry(ids[4]).unwrap());
        assert!(!account.remove_entry(ids[4]).unwrap() && !account.replace_entry(ids[4], b"five").unwrap());
        assert_eq!(texts(&account.entries("log", None, 9).unwrap()), ["1", "2", "three", "4"]);

        assert_eq!(account.remove_log("log").unwrap(), 4);
        assert!(account.entries("log", None, 9).unwrap().is_empty());
        assert_eq!(account.remove_log("other").unwrap(), 1);
        assert!(account.append("log", b"6").unwrap() > ids[4], "numbers are not used again");
    });
}

#[test]
fn an_entry_is_appended_once() {
    accounts(|account| {
        let first = account.append_once("log", b"a", b"1").unwrap().unwrap();
        assert_eq!(account.append_once("log", b"a", b"2").unwrap(), None);
        let many = [b"a", b"b", b"b"].map(|key| (key.to_vec(), b"7".to_vec()));
        assert_eq!(account.append_all_once("many", &many).unwrap(), 2);
        assert_eq!(account.append_all_once("many", &many).unwrap(), 0);
        assert_eq!(texts(&account.entries("many", None, 9).unwrap()), ["7", "7"]);
        assert!(account.has_entry("many", b"b").unwrap());
        assert!(!account.has_entry("log", b"b").unwrap() && !account.has_entry("many", b"c").unwrap());
        assert!(account.append_once("log", b"", b"3").unwrap().is_some());
        assert!(account.append_once("lo", b"ga", b"4").unwrap().is_some());
        assert_eq!(account.append_once("lo", b"ga", b"5").unwrap(), None);
        account.append("log", b"6").unwrap();
        account.append("log", b"7").unwrap();
        assert_eq!(texts(&account.entries("log", None, 9).unwrap()), ["1", "3", "6", "7"]);

        account.replace_entry(first, b"one").unwrap();
        assert_eq!(account.append_once("log", b"a", b"2").unwrap(), None);
        account.remove_entry(first).unwrap();
        assert!(account.append_once("log", b"a", b"2").unwrap().is_some());
    });
}
