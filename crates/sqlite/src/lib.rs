//! A store for [`xmpp_e2e`] in one `SQLite` file.
//!
//! A [`Database`] is a file, an [`Account`] in it is the [`Store`](xmpp_e2e::store::Store) of one engine. Beside the
//! records of the engine it keeps notes, small values under a name, and logs to which a client appends.
//!
//! ```
//! use xmpp_e2e::store::Store;
//! use xmpp_e2e::{Config, Engine, Env, Input, LocalAgent, Timestamp};
//! use xmpp_e2e_sqlite::{Account, Database, Key};
//!
//! /// The engine and the key agent of an account, as they were or new.
//! fn start(account: &Account) -> Result<(Engine, LocalAgent), Box<dyn std::error::Error>> {
//!     let suites = Default::default();
//!     let agent = match account.note("agent")? {
//!         Some(bytes) => LocalAgent::from_bytes(&bytes, &suites)?,
//!         None => {
//!             let mut rng = xmpp_e2e::rand_core::UnwrapErr(getrandom::SysRng);
//!             let agent = LocalAgent::generate(&suites, &mut rng);
//!             account.set_note("agent", Some(&agent.to_bytes()))?;
//!             agent
//!         }
//!     };
//!     let config = Config::new(account.name(), agent.identity())?;
//!     Ok((Engine::restore(config, &account.load()?)?, agent))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("accounts.db");
//! let key = Key::random()?; // kept in what the platform has for keys
//! let database = Database::open_sealed(&path, &key)?;
//! let mut account = database.account("romeo@example.net")?;
//! let (mut engine, agent) = start(&account)?;
//!
//! let mut rng = xmpp_e2e::rand_core::UnwrapErr(getrandom::SysRng);
//! let env = &mut Env { now: Timestamp::from_secs(1_800_000_000), rng: &mut rng };
//! let input = Input::Connected { full_jid: "romeo@example.net/orchard", resumed: false };
//! let effects = engine.handle(env, input)?.persist(|batch| account.apply(batch))?;
//! # assert!(!effects.is_empty());
//!
//! // Another day:
//! # let (generation, identity) = (engine.generation(), agent.identity());
//! # drop((engine, agent, account, database));
//! let database = Database::open_sealed(&path, &key)?;
//! let mut account = database.account("romeo@example.net")?;
//! let (mut engine, agent) = start(&account)?;
//! # assert_eq!((engine.generation(), agent.identity()), (generation, identity));
//! # Ok(())
//! # }
//! ```
//!
//! # What is applied stays
//!
//! A batch is one transaction, upon the generation it expects. When [`apply`](xmpp_e2e::store::Store::apply) returns,
//! the log of the file has been synced: a power cut loses nothing that was sent because of it. The file is in WAL mode
//! with `synchronous = EXTRA`, and with `fullfsync`, for on Apple's systems a plain sync stays in the cache of the
//! drive. Whatever fails, and whenever the process dies, the batch has been applied as a whole or not at all.
//!
//! Several processes may open one file, on a local disk: WAL mode does not work over a network. Of two engines of one
//! account the second to write gets [`Error::Conflict`]. It must be dropped, and restored from the file.
//!
//! # What is deleted is gone, as far as a file can tell
//!
//! An engine deletes keys so that nobody can read old messages with them. `secure_delete` writes zeros over what is
//! deleted. After each transaction the log is moved into the file and cut to nothing, since it too holds keys. That
//! is one sync more for each step, and the reason why nothing waits there for a thousand pages.
//!
//! What is below the file may keep more. Flash writes every block to a new place and erases the old one when it
//! likes. File systems that copy on write, journals of data, snapshots, backups and swap do alike. Only who has no key
//! for it reads nothing: seal the file, and keep the key where it can be destroyed. A sealed file and its key, both of
//! an earlier day, are a copy of that day's state.
//!
//! # What a sealed file hides
//!
//! Names of accounts, records, notes and logs stand in it as keyed hashes, all values under XChaCha20-Poly1305. Whoever
//! has the file alone sees how many there are, how long, of which kind, which of them belong to one account or one log,
//! in which order entries came, and the generations. No value can be changed, or moved to another name, account,
//! number or file: reading it gives [`Error::Damaged`].
//!
//! What the file cannot notice is that something older stands in it: one row put back, one row deleted, or the whole
//! file of yesterday. The generation and the keys of [`append_once`](Account::append_once) are not bound to anything.
//! An engine that runs on yesterday's state encrypts with keys that were used. Who must withstand an attacker that
//! writes to the disk keeps the generation somewhere else too, and compares. After a backup was played back knowingly,
//! give the engine [`Command::Restored`](xmpp_e2e::Command::Restored).
//!
//! A file that is not sealed holds private keys to be read by anybody who can read the file. On Unix that is its owner.

mod account;
mod database;
mod error;
mod file;
mod key;
mod log;
mod seal;

pub use account::Account;
pub use database::Database;
pub use error::Error;
pub use key::Key;
pub use log::Entry;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
