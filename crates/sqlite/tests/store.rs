//! The store as an engine uses it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Folder, step};
use rusqlite::Connection;
use xmpp_e2e::store::{Store, contract};
use xmpp_e2e_sqlite::{Account, Database, Error};

const ROMEO: &str = "romeo@example.net";

/// Both forms of a file.
fn forms(test: impl Fn(&Folder, &dyn Fn() -> Database)) {
    let folder = Folder::new();
    test(&folder, &|| Database::open(folder.path()).unwrap());
    let folder = Folder::new();
    test(&folder, &|| Database::open_sealed(folder.path(), &folder.key).unwrap());
}

type Record = (Vec<u8>, Vec<u8>);

fn content(account: &Account) -> (u64, Vec<Record>) {
    let stored = account.load().unwrap();
    let records = stored.records.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec()));
    let mut records: Vec<_> = records.collect();
    records.sort();
    (stored.generation, records)
}

#[test]
fn keeps_the_contract() {
    forms(|_, open| {
        let database = open();
        contract::check(database.account(ROMEO).unwrap()).unwrap();
        contract::check(database.account("juliet@example.com").unwrap()).unwrap();
    });
}

#[test]
fn accounts_move_between_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Account>();
    check::<Database>();
}

#[test]
fn an_engine_runs_and_is_restored() {
    forms(|_, open| {
        let agent = common::agent();
        let mut account = open().account(ROMEO).unwrap();
        let mut engine = common::engine(&account, &agent);
        for _ in 0..5 {
            step(&mut engine, &agent, &mut account).unwrap();
        }
        let before = content(&account);
        assert!(before.0 > 5 && !before.1.is_empty() && before.0 == engine.generation());
        drop((engine, account));

        let mut account = open().account(ROMEO).unwrap();
        assert_eq!(content(&account), before);
        for (key, value) in &account.load().unwrap().records {
            assert_eq!(account.record(key).unwrap().as_ref(), Some(value));
        }
        let mut engine = common::engine(&account, &agent);
        step(&mut engine, &agent, &mut account).unwrap();
        assert!(content(&account).0 > before.0);
    });
}

#[test]
fn the_second_engine_is_refused() {
    forms(|_, open| {
        let agent = common::agent();
        let (mut one, mut other) = (open().account(ROMEO).unwrap(), open().account(ROMEO).unwrap());
        let (mut first, mut second) = (common::engine(&one, &agent), common::engine(&other, &agent));
        step(&mut first, &agent, &mut one).unwrap();
        let before = content(&one);
        assert!(matches!(step(&mut second, &agent, &mut other), Err(Error::Conflict)));
        assert_eq!(content(&one), before);
        assert_eq!(content(&other), before);
        step(&mut first, &agent, &mut one).unwrap();
    });
}

#[test]
fn many_writers_at_once_lose_nothing() {
    forms(|_, open| {
        let threads: Vec<_> = (0..4_u8)
            .map(|thread| {
                let account = open().account(ROMEO).unwrap();
                std::thread::spawn(move || {
                    for i in 0..20 {
                        account.append("log", &[thread, i]).unwrap();
                        account.append_once("once", &[i], &[thread]).unwrap();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let account = open().account(ROMEO).unwrap();
        assert_eq!(account.entries("log", None, 1000).unwrap().len(), 80);
        assert_eq!(account.entries("once", None, 1000).unwrap().len(), 20);
    });
}

#[test]
fn a_new_file_is_made_by_several_at_once() {
    for _ in 0..10 {
        let folder = Folder::new();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (path, key) = (folder.path(), folder.key.clone());
                std::thread::spawn(move || {
                    let database = Database::open_sealed(path, &key).unwrap();
                    database.account(ROMEO).unwrap();
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let database = Database::open_sealed(folder.path(), &folder.key).unwrap();
        assert_eq!(database.accounts().unwrap(), [ROMEO]);
    }
}

#[test]
fn accounts_do_not_see_each_other() {
    forms(|_, open| {
        let database = open();
        assert!(database.accounts().unwrap().is_empty());
        let agent = common::agent();
        let mut romeo = database.account(ROMEO).unwrap();
        let juliet = database.account("juliet@example.com").unwrap();
        let mut engine = common::engine(&romeo, &agent);
        step(&mut engine, &agent, &mut romeo).unwrap();
        romeo.set_note("note", Some(b"1")).unwrap();
        let entry = romeo.append_once("log", b"key", b"2").unwrap().unwrap();

        assert_eq!(content(&juliet), (0, vec![]));
        assert!(juliet.note("note").unwrap().is_none());
        assert!(juliet.entries("log", None, 9).unwrap().is_empty());
        assert!(!juliet.replace_entry(entry, b"3").unwrap());
        assert!(!juliet.remove_entry(entry).unwrap());
        assert!(juliet.append_once("log", b"key", b"4").unwrap().is_some());
        juliet.set_note("note", None).unwrap();
        assert_eq!(romeo.note("note").unwrap().unwrap().as_slice(), b"1");
        assert_eq!(database.accounts().unwrap(), ["juliet@example.com", ROMEO]);

        let before = content(&juliet);
        assert!(database.remove(ROMEO).unwrap());
        assert!(!database.remove(ROMEO).unwrap());
        assert_eq!(database.accounts().unwrap(), ["juliet@example.com"]);
        assert_eq!(content(&juliet), before);
        assert_eq!(juliet.entries("log", None, 9).unwrap().len(), 1);
    });
}

#[test]
fn a_removed_account_stays_removed() {
    forms(|_, open| {
        let database = open();
        let agent = common::agent();
        let mut old = database.account(ROMEO).unwrap();
        let mut engine = common::engine(&old, &agent);
        step(&mut engine, &agent, &mut old).unwrap();
        old.set_note("note", Some(b"1")).unwrap();
        old.append("log", b"1").unwrap();
        database.remove(ROMEO).unwrap();

        let new = database.account(ROMEO).unwrap();
        assert_eq!(content(&new), (0, vec![]));
        assert!(new.note("note").unwrap().is_none());
        assert!(new.entries("log", None, 1).unwrap().is_empty());
        assert!(matches!(step(&mut engine, &agent, &mut old), Err(Error::Gone)));
        assert!(matches!(old.load(), Err(Error::Gone)));
        assert!(matches!(old.set_note("note", Some(b"2")), Err(Error::Gone)));
        assert!(matches!(old.append("log", b"2"), Err(Error::Gone)));
        assert!(matches!(old.append_once("log", b"2", b"2"), Err(Error::Gone)));
    });
}

#[test]
fn a_failure_in_the_middle_changes_nothing() {
    forms(|folder, open| {
        let agent = common::agent();
        let mut account = open().account(ROMEO).unwrap();
        let mut engine = common::engine(&account, &agent);
        step(&mut engine, &agent, &mut account).unwrap();
        let before = content(&account);
        let other = Connection::open(folder.path()).unwrap();
        // The generation has been counted up, and the first rows are written, when this strikes.
        other
            .execute_batch(
                "CREATE TRIGGER boom AFTER INSERT ON record BEGIN SELECT raise(FAIL, 'boom'); END;
                 CREATE TRIGGER bang AFTER UPDATE ON record BEGIN SELECT raise(FAIL, 'boom'); END;
                 CREATE TRIGGER bump AFTER UPDATE ON entry BEGIN SELECT raise(FAIL, 'boom'); END;",
            )
            .unwrap();
        assert!(matches!(step(&mut engine, &agent, &mut account), Err(Error::Medium(_))));
        assert!(account.append("log", b"1").is_err());
        assert_eq!(content(&account), before);
        assert!(account.entries("log", None, 9).unwrap().is_empty());
        other.execute_batch("DROP TRIGGER boom; DROP TRIGGER bang; DROP TRIGGER bump").unwrap();
        step(&mut engine, &agent, &mut account).unwrap();
        account.append("log", b"1").unwrap();
    });
}

#[test]
fn a_crash_before_the_commit_changes_nothing() {
    forms(|folder, open| {
        let agent = common::agent();
        let mut account = open().account(ROMEO).unwrap();
        let mut engine = common::engine(&account, &agent);
        step(&mut engine, &agent, &mut account).unwrap();
        let before = content(&account);
        drop(account);
        // What a transaction leaves of which the commit never came: pages in the log.
        let crashed = Connection::open(folder.path()).unwrap();
        crashed.pragma_update(None, "cache_size", 1).unwrap();
        crashed
            .execute_batch("BEGIN IMMEDIATE; UPDATE account SET generation = 77; DELETE FROM record;")
            .unwrap();
        let copy = Folder::new();
        for suffix in ["", "-wal"] {
            let name = |folder: &Folder| format!("{}{suffix}", folder.path().display());
            std::fs::copy(name(folder), name(&copy)).unwrap();
        }
        drop(crashed);
        let database =
            Database::open(copy.path()).or_else(|_| Database::open_sealed(copy.path(), &folder.key)).unwrap();
        assert_eq!(content(&database.account(ROMEO).unwrap()), before);
        assert_eq!(content(&open().account(ROMEO).unwrap()), before);
    });
}

#[test]
fn the_engine_is_as_it_was_after_a_refusal() {
    let folder = Folder::new();
    let agent = common::agent();
    let mut account = Database::open(folder.path()).unwrap().account(ROMEO).unwrap();
    let mut engine = common::engine(&account, &agent);
    let other = Connection::open(folder.path()).unwrap();
    other.execute_batch("UPDATE account SET generation = 9").unwrap();
    assert!(matches!(step(&mut engine, &agent, &mut account), Err(Error::Conflict)));
    assert_eq!(engine.generation(), 0);
    other.execute_batch("UPDATE account SET generation = 0").unwrap();
    step(&mut engine, &agent, &mut account).unwrap();
}
