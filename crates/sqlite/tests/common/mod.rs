//! What the tests share: a folder, and an engine with its key agent.

#![allow(dead_code, unreachable_pub, reason = "not every test uses all of it")]
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "helpers of tests")]

use std::path::PathBuf;

use xmpp_e2e::rand_core::UnwrapErr;
use xmpp_e2e::store::Store;
use xmpp_e2e::suite::Suites;
use xmpp_e2e::{Config, Effect, Engine, Env, Input, LocalAgent, Timestamp};
use xmpp_e2e_sqlite::{Account, Error, Key};

/// A folder for one file, removed when dropped.
pub struct Folder {
    folder: tempfile::TempDir,
    pub key: Key,
}

impl Folder {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), key: Key::random().unwrap() }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("accounts.db")
    }

    /// Every byte of every file there is.
    pub fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    pub fn holds(&self, what: &[u8]) -> bool {
        self.bytes().windows(what.len()).any(|bytes| bytes == what)
    }
}

pub fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

/// A key agent.
pub fn agent() -> LocalAgent {
    LocalAgent::generate(&Suites::default(), &mut rng())
}

/// The engine as the account has it.
pub fn engine(account: &Account, agent: &LocalAgent) -> Engine {
    let config = Config::new(account.name(), agent.identity()).unwrap();
    Engine::restore(config, &account.load().unwrap()).unwrap()
}

/// A connection is made, and the key agent answers what it is asked.
pub fn step(engine: &mut Engine, agent: &LocalAgent, account: &mut Account) -> Result<(), Error> {
    let full_jid = format!("{}/orchard", account.name());
    let mut replies = handle(engine, account, Input::Disconnected, agent)?;
    replies.extend(handle(engine, account, Input::Connected { full_jid: &full_jid, resumed: false }, agent)?);
    while let Some(reply) = replies.pop() {
        replies.extend(handle(engine, account, Input::Agent(&reply), agent)?);
    }
    Ok(())
}

fn handle(
    engine: &mut Engine,
    account: &mut Account,
    input: Input<'_>,
    agent: &LocalAgent,
) -> Result<Vec<xmpp_e2e::AgentReply>, Error> {
    let env = &mut Env { now: Timestamp::from_secs(1_800_000_000), rng: &mut rng() };
    let effects = engine.handle(env, input).unwrap().persist(|batch| account.apply(batch))?;
    let mut replies = Vec::new();
    for effect in &effects {
        if let Effect::Ask(request) = effect {
            replies.push(agent.answer(request));
        }
    }
    Ok(replies)
}
