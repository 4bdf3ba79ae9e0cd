//! What a file tells, and what it refuses.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Folder, step};
use rusqlite::Connection;
use xmpp_e2e::store::Store;
use xmpp_e2e_sqlite::{Account, Database, Error, Key};

const ROMEO: &str = "romeo@example.net";
const JULIET: &str = "juliet@example.com";

fn sealed(folder: &Folder) -> Database {
    Database::open_sealed(folder.path(), &folder.key).unwrap()
}

fn sql(folder: &Folder, statements: &str) {
    Connection::open(folder.path()).unwrap().execute_batch(statements).unwrap();
}

/// An account with an engine that has run, notes and entries.
fn filled(database: &Database, name: &str) -> Account {
    let mut account = database.account(name).unwrap();
    let agent = common::agent();
    let mut engine = common::engine(&account, &agent);
    step(&mut engine, &agent, &mut account).unwrap();
    account.set_note("name of a note", Some(b"value of a note")).unwrap();
    account.set_note("another", Some(b"value of another")).unwrap();
    account.append_once(JULIET, b"key of an entry", b"first entry").unwrap();
    account.append(JULIET, b"second entry").unwrap();
    account.append("other log", b"third entry").unwrap();
    account
}

#[test]
fn another_key_is_refused_at_once() {
    let (folder, clear) = (Folder::new(), Folder::new());
    drop(filled(&sealed(&folder), ROMEO));
    drop(filled(&Database::open(clear.path()).unwrap(), ROMEO));
    let before = folder.bytes();
    let mut close = <[u8; Key::LEN]>::try_from(folder.key.expose()).unwrap();
    close[31] ^= 1;
    for key in [Key::random().unwrap(), Key::new(&close)] {
        assert!(matches!(Database::open_sealed(folder.path(), &key), Err(Error::Key)));
    }
    assert!(matches!(Database::open(folder.path()), Err(Error::Key)));
    assert!(matches!(Database::open_sealed(clear.path(), &clear.key), Err(Error::Key)));
    assert_eq!(folder.bytes(), before);
    assert_eq!(sealed(&folder).accounts().unwrap(), [ROMEO]);
    assert_eq!(Database::open(clear.path()).unwrap().accounts().unwrap(), [ROMEO]);
}

#[test]
fn a_sealed_file_shows_neither_names_nor_values() {
    let secrets: [&[u8]; 8] = [
        ROMEO.as_bytes(),
        JULIET.as_bytes(),
        b"name of a note",
        b"value of a note",
        b"key of an entry",
        b"first entry",
        b"other log",
        b"third entry",
    ];
    let (folder, clear) = (Folder::new(), Folder::new());
    let (account, control) =
        (filled(&sealed(&folder), ROMEO), filled(&Database::open(clear.path()).unwrap(), ROMEO));
    for secret in secrets {
        assert!(!folder.holds(secret));
        assert!(clear.holds(secret), "the test looks in the right place");
    }
    for (account, folder, is_shown) in [(&account, &folder, false), (&control, &clear, true)] {
        for (key, value) in account.load().unwrap().records {
            assert!(key.as_bytes().len() < 8 || folder.holds(key.as_bytes()) == is_shown);
            // Longer ones are spread over pages.
            assert!(!(8..500).contains(&value.len()) || folder.holds(&value) == is_shown);
        }
    }
    assert!(!folder.holds(folder.key.expose()));
}

#[test]
fn what_is_deleted_or_replaced_is_gone() {
    let folder = Folder::new();
    let database = Database::open(folder.path()).unwrap();
    let account = database.account(ROMEO).unwrap();
    // Enough of every length that pages are split, merged and freed.
    let value = |of: &str, i: usize| {
        let marker = format!("<{of}-{i}>");
        marker.repeat(1 + (i * i * 7) % 900).into_bytes()
    };
    let mut entries = Vec::new();
    for i in 0..60 {
        account.set_note(&format!("note {i}"), Some(&value("old", i))).unwrap();
        entries.push(account.append("log", &value("entry", i)).unwrap());
    }
    assert!(folder.holds(b"<old-7>") && folder.holds(b"<entry-7>"));
    for (i, entry) in entries.into_iter().enumerate() {
        match i % 3 {
            0 => account.set_note(&format!("note {i}"), None).unwrap(),
            1 => account.set_note(&format!("note {i}"), Some(&value("new", 60 - i))).unwrap(),
            _ => account.set_note(&format!("note {i}"), Some(b"")).unwrap(),
        }
        match i % 2 {
            0 => assert!(account.remove_entry(entry).unwrap()),
            _ => assert!(account.replace_entry(entry, b"").unwrap()),
        }
        // Not in the end: at once, while the file is open.
        assert!(!folder.holds(format!("<old-{i}>").as_bytes()), "{i}");
        assert!(!folder.holds(format!("<entry-{i}>").as_bytes()), "{i}");
    }
    assert!(folder.holds(b"<new-59>"));
    drop(account);
    database.remove(ROMEO).unwrap();
    assert!(!folder.holds(b"<new-") && !folder.holds(ROMEO.as_bytes()));
    drop(database);
    assert!(!folder.holds(b"<new-") && !folder.holds(b"<old-") && !folder.holds(b"<entry-"));
}

#[test]
fn a_reader_does_not_hold_up_a_writer() {
    let folder = Folder::new();
    let account = Database::open(folder.path()).unwrap().account(ROMEO).unwrap();
    account.set_note("note", Some(b"<first>")).unwrap();
    let mut reader = Connection::open(folder.path()).unwrap();
    let reading = reader.transaction().unwrap();
    let count = |tx: &Connection| tx.query_row("SELECT count(*) FROM note", [], |row| row.get(0));
    assert_eq!(count(&reading), Ok(1_i64));
    account.set_note("note", Some(b"<second>")).unwrap();
    account.set_note("other", Some(b"<third>")).unwrap();
    assert_eq!(count(&reading), Ok(1));
    assert!(folder.holds(b"<first>"), "it is still being read");
    drop(reading);
    // The next one sweeps.
    account.set_note("other", None).unwrap();
    assert!(!folder.holds(b"<first>") && !folder.holds(b"<third>") && folder.holds(b"<second>"));
}

#[test]
fn keys_that_an_engine_replaces_are_gone() {
    let folder = Folder::new();
    let mut account = Database::open(folder.path()).unwrap().account(ROMEO).unwrap();
    let agent = common::agent();
    let mut engine = common::engine(&account, &agent);
    step(&mut engine, &agent, &mut account).unwrap();
    let before = account.load().unwrap().records;
    for _ in 0..3 {
        step(&mut engine, &agent, &mut account).unwrap();
    }
    let mut replaced = 0;
    for (key, value) in before {
        let now = account.record(&key).unwrap();
        if now.is_none_or(|now| now != value) {
            replaced += 1;
            assert!(value.len() < 16 || !folder.holds(&value));
        }
    }
    assert!(replaced > 0);
}

#[test]
fn values_cannot_change_places() {
    // Two rows of each table whose values change places; and one that goes to another account.
    let swaps = [
        ("record", "account = 1"),
        ("note", "account = 1"),
        ("entry", "account = 1"),
        ("record", "rowid IN (SELECT min(rowid) FROM record GROUP BY account)"),
        ("note", "rowid IN (SELECT min(rowid) FROM note GROUP BY account)"),
        ("entry", "rowid IN (SELECT min(rowid) FROM entry GROUP BY account)"),
    ];
    for (table, rows) in swaps {
        let folder = Folder::new();
        let database = sealed(&folder);
        drop((filled(&database, ROMEO), filled(&database, JULIET)));
        sql(
            &folder,
            &format!(
                "CREATE TABLE two AS SELECT rowid AS id, value FROM {table} WHERE {rows} ORDER BY rowid LIMIT 2;
                 UPDATE {table} SET value = (SELECT value FROM two WHERE id != {table}.rowid)
                 WHERE rowid IN (SELECT id FROM two);
                 DROP TABLE two;"
            ),
        );
        let account = sealed(&folder).account(ROMEO).unwrap();
        let results = [
            account.load().map(drop),
            account.note("name of a note").map(drop),
            account.entries(JULIET, None, 9).map(drop),
        ];
        let damaged: Vec<_> = results.iter().map(|result| matches!(result, Err(Error::Damaged))).collect();
        assert_eq!(damaged, [table == "record", table == "note", table == "entry"], "{table} {rows}");
    }
}

#[test]
fn an_account_cannot_be_renamed_or_filed_under_another() {
    let folder = Folder::new();
    let database = sealed(&folder);
    drop((filled(&database, ROMEO), filled(&database, JULIET)));
    sql(
        &folder,
        "UPDATE account SET name = (SELECT a.name FROM account a WHERE a.id != account.id) WHERE id = 1",
    );
    assert!(matches!(database.accounts(), Err(Error::Damaged)));

    // Records that are given to another account.
    let folder = Folder::new();
    let database = sealed(&folder);
    drop((filled(&database, ROMEO), filled(&database, JULIET)));
    sql(&folder, "DELETE FROM record WHERE account = 1; UPDATE record SET account = 1 WHERE account = 2");
    assert!(matches!(database.account(ROMEO).unwrap().load(), Err(Error::Damaged)));
    assert!(database.account(JULIET).unwrap().load().unwrap().records.is_empty());
}

#[test]
fn entries_cannot_be_moved_to_another_log() {
    let folder = Folder::new();
    let account = filled(&sealed(&folder), ROMEO);
    sql(&folder, "UPDATE entry SET log = (SELECT log FROM entry WHERE id = 3) WHERE id = 2");
    assert!(matches!(account.entries("other log", None, 9), Err(Error::Damaged)));
    assert_eq!(account.entries(JULIET, None, 9).unwrap().len(), 1);
}

#[test]
fn what_was_cut_or_changed_is_damaged() {
    for value in [
        "x''",
        "x'00'",
        "zeroblob(40)",
        "substr(value, 1, length(value) - 1)",
        "CAST(value || x'00' AS BLOB)",
    ] {
        let folder = Folder::new();
        let account = filled(&sealed(&folder), ROMEO);
        sql(&folder, &format!("UPDATE record SET value = {value}; UPDATE note SET value = {value}"));
        assert!(matches!(account.load(), Err(Error::Damaged)));
        assert!(matches!(account.note("another"), Err(Error::Damaged)));
    }
    let folder = Folder::new();
    let account = filled(&Database::open(folder.path()).unwrap(), ROMEO);
    for value in ["x''", "x'00'", "x'ffff00'"] {
        sql(&folder, &format!("UPDATE record SET value = {value}"));
        assert!(matches!(account.load(), Err(Error::Damaged)));
    }
}

#[test]
fn files_of_others_are_left_alone() {
    let folder = Folder::new();
    drop(Database::open(folder.path()).unwrap());
    sql(&folder, "PRAGMA user_version = 2");
    assert!(matches!(Database::open(folder.path()), Err(Error::Newer)));
    sql(&folder, "PRAGMA application_id = 7");
    assert!(matches!(Database::open(folder.path()), Err(Error::Foreign)));

    let folder = Folder::new();
    sql(&folder, "CREATE TABLE theirs (a)");
    let before = folder.bytes();
    assert!(matches!(Database::open_sealed(folder.path(), &folder.key), Err(Error::Foreign)));
    assert_eq!(folder.bytes(), before);

    let folder = Folder::new();
    std::fs::write(folder.path(), "a letter, and no database at all. ".repeat(100)).unwrap();
    let before = folder.bytes();
    assert!(matches!(Database::open(folder.path()), Err(Error::Foreign)));
    assert_eq!(folder.bytes(), before);

    let folder = Folder::new();
    assert!(matches!(Database::open(folder.path().join("no/such")), Err(Error::Medium(_))));
    drop(Database::open_sealed(folder.path(), &folder.key).unwrap());
    sql(&folder, "UPDATE form SET salt = NULL");
    assert!(matches!(Database::open_sealed(folder.path(), &folder.key), Err(Error::Damaged)));
    assert!(matches!(Database::open(folder.path()), Err(Error::Damaged)));
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let _account = filled(&Database::open(folder.path()).unwrap(), ROMEO);
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", folder.path().display());
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn nothing_secret_is_printed() {
    let folder = Folder::new();
    let database = sealed(&folder);
    let account = database.account(ROMEO).unwrap();
    assert_eq!(
        format!("{:?} {database:?} {account:?}", folder.key),
        "Key { .. } Database { .. } Account { id: 1, .. }"
    );
}
