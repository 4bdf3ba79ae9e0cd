//! A device: its engine under inputs, and its store.

use super::*;

/// A store, and what its last batch replaced.
#[derive(Clone, Default)]
pub(super) struct Records {
    pub(super) generation: u64,
    pub(super) records: BTreeMap<RecordKey, Vec<u8>>,
    pub(super) replaced: Vec<Option<Vec<u8>>>,
}

impl Records {
    pub(super) fn apply(&mut self, batch: &Batch) -> Result<(), Infallible> {
        assert_eq!(batch.expected_generation(), self.generation);
        self.generation = batch.generation();
        for (key, value) in batch.changes() {
            self.replaced.push(match value {
                Some(value) => self.records.insert(key.clone(), value.to_vec()),
                None => self.records.remove(key),
            });
        }
        Ok(())
    }
}

impl Device {
    pub(super) fn new(account: &'static str, resource: &'static str, agent: LocalAgent) -> Self {
        let mut config = Config::new(account, agent.identity()).expect("a JID");
        config.suites = Suites::new(&[&FAKE_SUITE]).expect("one suite");
        config.sign_presence = account == DEVICES[0].0;
        Self {
            account,
            resource,
            engine: Engine::new(config.clone()),
            config,
            agent,
            store: Records::default(),
            backup: None,
            online: false,
            left: false,
            asks: Vec::new(),
            replies: Vec::new(),
            unacknowledged: Vec::new(),
            untaken: Vec::new(),
            consents: Vec::new(),
            changed: None,
            fates: BTreeMap::new(),
            seen: BTreeSet::new(),
            iqs: Iqs::default(),
            cleared: BTreeSet::new(),
            restarted: false,
            rolled_back: false,
            forgot: false,
            store_fails: false,
            effects_lost: false,
        }
    }

    pub(super) fn full_jid(&self) -> String {
        format!("{}/{}", self.account, self.resource)
    }

    pub(super) fn restored(&self) -> Engine {
        let records = self.store.records.iter().map(|(key, value)| (key, Some(value.as_slice())));
        let restored = Engine::restore_some(self.config.clone(), self.store.generation, records);
        restored.expect("what was stored restores")
    }

    pub(super) fn restart(&mut self) {
        self.engine = self.restored();
        self.online = false;
        self.restarted = true;
        self.iqs.inquiries.clear();
        self.asks.clear();
        self.unacknowledged.clear();
        self.untaken.clear();
    }

    /// Handles an input; loads what it asks for. A step that is dropped or not stored has not
    /// happened.
    pub(super) fn handle<'i>(
        &mut self,
        now: Timestamp,
        seed: [u8; 32],
        twice: bool,
        class: Class,
        make: &dyn Fn() -> Input<'i>,
    ) -> Option<(Changes, Vec<Effect>)> {
        let generation = self.engine.generation();
        let mut expected: Option<Changes> = None;
        for _ in 0..200 {
            let undo = match &expected {
                None if self.store_fails => Some(Undo::StoreFails),
                None if twice => Some(Undo::Drop),
                _ => None,
            };
            let outcome = attempt(&mut self.engine, &mut self.store, now, seed, make(), undo);
            match outcome {
                Outcome::Stored(drafted, effects) => {
                    let same = expected.is_none_or(|expected| expected == drafted);
                    promise(same, "an input that was undone is handled differently");
                    return Some((drafted, effects));
                }
                Outcome::Undone(drafted) => {
                    self.store_fails = false;
                    expected = Some(drafted);
                }
                Outcome::Missing(keys) => {
                    assert!(!keys.is_empty(), "nothing to load");
                    self.load(&keys);
                }
                Outcome::Misuse(misuse) => {
                    let allowed = match class {
                        Class::Wish => [Misuse::Consent, Misuse::Key, Misuse::Jid].contains(&misuse),
                        _ => false,
                    };
                    assert!(allowed, "{misuse:?} for {class:?}");
                    assert_eq!(self.engine.generation(), generation);
                    let again = attempt(&mut self.engine, &mut self.store, now, seed, make(), None);
                    assert!(matches!(again, Outcome::Misuse(again) if again == misuse));
                    return None;
                }
            }
            assert_eq!(self.engine.generation(), generation);
        }
        unreachable!("what is loaded is asked for again")
    }

    pub(super) fn load(&mut self, keys: &[RecordKey]) {
        for key in keys {
            let value = self.store.records.get(key).expect("it is stored");
            assert!(Engine::is_evictable(key));
            self.engine.load([(key, value.as_slice())]).expect("it decodes");
        }
    }
}

#[derive(Clone, Copy)]
enum Undo {
    Drop,
    StoreFails,
}

/// What came of an input.
enum Outcome {
    Stored(Changes, Vec<Effect>),
    Undone(Changes),
    Missing(Vec<RecordKey>),
    Misuse(Misuse),
}

fn attempt(
    engine: &mut Engine,
    store: &mut Records,
    now: Timestamp,
    seed: [u8; 32],
    input: Input<'_>,
    undo: Option<Undo>,
) -> Outcome {
    let mut rng = ChaCha20Rng::from_seed(seed);
    match engine.handle(&mut Env { now, rng: &mut rng }, input) {
        Ok(step) => {
            let drafted = changes(step.batch());
            match undo {
                Some(Undo::StoreFails) if !drafted.is_empty() => {
                    assert_eq!(step.persist(|_| Err(())).err(), Some(()));
                    Outcome::Undone(drafted)
                }
                Some(Undo::Drop) => Outcome::Undone(drafted),
                _ => {
                    let effects = step.persist(|batch| store.apply(batch)).expect("infallible");
                    Outcome::Stored(drafted, effects)
                }
            }
        }
        Err(Error::NotLoaded(keys)) => Outcome::Missing(keys),
        Err(Error::Misuse(misuse)) => Outcome::Misuse(misuse),
        Err(error) => unreachable!("{error:?}"),
    }
}
