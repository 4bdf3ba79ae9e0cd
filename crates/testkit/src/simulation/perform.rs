//! What each action does.

use std::time::Duration;

use xmpp_e2e::suite::Level;
use xmpp_e2e::{Command, LocalAgent, Need, Timestamp};

use crate::device::{Device, Fate, Job, Moment};
use crate::server::Pep;
use crate::simulation::Action;
use crate::simulation::history::{History, Known};

impl History {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Wait(seconds) => {
                self.advance(Duration::from_secs(u64::from(seconds)));
                self.measure();
            }
            Action::Turns(count) => self.turns(count),
            Action::Weather(odds) => self.link.set_odds(odds),
            Action::Pep(account, pep) => {
                if let Some(account) = self.account(account) {
                    self.figures.pep_faults += u64::from(pep != Pep::Works);
                    self.world.server.set_pep(self.accounts[account].jid, pep);
                }
            }
            Action::Freeze(account) => {
                if let Some(account) = self.account(account) {
                    self.figures.pep_faults += 1;
                    self.world.server.freeze(self.accounts[account].jid);
                }
            }
            Action::Thaw(account) => {
                if let Some(account) = self.account(account) {
                    self.world.server.thaw(self.accounts[account].jid);
                }
            }
            Action::AddDevice(account) => {
                if let Some(device) = self.account(account).and_then(|account| self.add_device(account)) {
                    self.with(device, Device::connect);
                }
            }
            Action::AllOffline(account) => {
                let Some(account) = self.account(account) else { return };
                let of = |device: &usize| self.world.devices[*device].account() == self.accounts[account].jid;
                for device in self.live().filter(of).collect::<Vec<_>>() {
                    self.offline(device);
                }
            }
            Action::Leave(account) => self.leave(account),
            Action::Restore(n, declared) => {
                let backed_up = |device: &usize| {
                    self.known[*device].backup.is_some() && self.known[*device].clone_of.is_none()
                };
                let devices: Vec<usize> = self.live().filter(backed_up).collect();
                if let Some(device) = devices.get(usize::from(n) % devices.len().max(1)) {
                    self.restore(*device, declared);
                }
            }
            Action::NewKey(account) => self.new_key(account),
            Action::Retire(account) => self.retire(account),
            Action::Accept(n)
            | Action::Backup(n)
            | Action::CatchUp(n, ..)
            | Action::ClearText(n, _)
            | Action::Clone(n)
            | Action::EndClone(n)
            | Action::Crash(n, ..)
            | Action::Evict(n)
            | Action::Heal(n, _)
            | Action::Lose(n)
            | Action::Misdirect(n, ..)
            | Action::Offline(n)
            | Action::Online(n)
            | Action::Presence(n)
            | Action::Refuse(n, _)
            | Action::Replay(n, _)
            | Action::Resume(n)
            | Action::Say(n, ..)
            | Action::Suspend(n) => {
                if let Some(device) = self.device(n) {
                    self.perform_on(device, action);
                }
            }
        }
    }

    fn perform_on(&mut self, device: usize, action: Action) {
        let runs = self.world.devices[device].runs();
        let connected = self.world.devices[device].is_connected();
        match action {
            Action::Say(_, to, times, encrypted) if runs => {
                let Some(account) = self.account(to) else { return };
                for _ in 0..times {
                    self.say(device, account, encrypted);
                }
            }
            Action::Accept(_) if runs => self.accept(device),
            Action::Heal(_, account) if runs => {
                let Some(account) = self.account(account) else { return };
                let jid = self.accounts[account].jid;
                self.command(device, Command::Heal { jid });
            }
            Action::Evict(_) if runs => {
                self.world.devices[device].engine_mut().evict_idle(Timestamp::from_millis(u64::MAX));
            }
            Action::Backup(_) => {
                let state = &self.world.devices[device];
                let watched = self.observer.devices[device].clone();
                self.known[device].backup = Some((state.store.clone(), state.record.clone(), watched));
            }
            Action::Clone(_) if runs && self.known[device].clone_of.is_none() => self.clone_device(device),
            Action::EndClone(_) => {
                let clone = self.known.iter().position(|known| known.clone_of.is_some() && !known.dead);
                if let Some(clone) = clone {
                    self.end_clone(clone);
                }
            }
            Action::Lose(_) if self.known[device].clone_of.is_none() => {
                let account = self.world.devices[device].account().to_owned();
                let of = |other: &usize| self.world.devices[*other].account() == account;
                if self.live().filter(of).filter(|other| self.known[*other].clone_of.is_none()).count() > 1 {
                    self.figures.wiped += 1;
                    self.end_device(device);
                }
            }
            Action::Crash(_, moments, stays) if runs => {
                let at = self.world.devices[device].moments + u64::from(moments);
                self.figures.crashes += 1;
                self.known[device].down |= stays;
                self.world.devices[device].crash_at(at);
            }
            Action::Refuse(_, times) if runs => {
                let mut left = times;
                self.figures.batches_refused += u64::from(times);
                self.world.devices[device].fault = Some(Box::new(move |_, moment| {
                    if moment == Moment::BeforeStore && left > 0 {
                        left -= 1;
                        Fate::Refuse
                    } else {
                        Fate::GoOn
                    }
                }));
            }
            Action::Online(_) => self.online(device),
            Action::Offline(_) => self.offline(device),
            Action::Suspend(_) if connected => {
                self.known[device].suspended = true;
                self.with(device, Device::lose);
            }
            Action::Resume(_) if runs && self.known[device].suspended => {
                self.known[device].suspended = false;
                self.with(device, Device::resume);
            }
            Action::Presence(_) if connected => {
                let presence = self.world.devices[device].presence.clone();
                self.with(device, |device, server, env| device.hand_in(server, env, &presence, Need::Policy));
            }
            Action::CatchUp(_, last, backwards) if connected => {
                let jid = self.world.devices[device].full_jid.clone();
                self.figures.archive_results += u64::from(last);
                self.world.server.catch_up(&jid, usize::from(last), backwards);
            }
            Action::ClearText(_, account) if connected => {
                let Some(account) = self.account(account) else { return };
                let (from, to) = (self.accounts[account].jid, self.world.devices[device].full_jid.clone());
                let text =
                    format!("<message from='{from}/x' to='{to}' type='chat'><body>hi</body></message>");
                self.world.server.inject(&to, text);
            }
            Action::Replay(_, number) if connected => {
                if let Some(stanza) = self.past(device, number) {
                    self.figures.replayed += 1;
                    let to = self.world.devices[device].full_jid.clone();
                    self.world.server.inject(&to, stanza);
                }
            }
            Action::Misdirect(_, to, number) => {
                let (Some(to), Some(stanza)) = (self.device(to), self.past(device, number)) else { return };
                self.figures.misdirected += 1;
                let to = self.world.devices[to].full_jid.clone();
                self.world.server.inject(&to, stanza);
            }
            _ => {}
        }
    }

    pub(super) fn command(&mut self, device: usize, command: Command<'static>) {
        self.with(device, |device, server, env| device.step(server, env, Job::Command(command)));
    }

    /// A device writes to an account.
    pub(super) fn say(&mut self, device: usize, account: usize, encrypted: bool) -> usize {
        let to = self.accounts[account].jid;
        let text = self.observer.write(device, to);
        let message = self.observer.said.len() - 1;
        // What one writes to oneself is not bound to any need by itself.
        let encrypted = encrypted || self.world.devices[device].account() == to;
        let need = if encrypted { Need::Encrypted(Level::HYBRID) } else { Need::Policy };
        self.note(|| format!("   {device} writes {text} to {to}"));
        let token = self.world.with(device, |device, server, env| {
            // The application has it before the engine does.
            device.say_with(server, env, to, &text, need)
        });
        self.observer.handed_in(device, token);
        self.with(device, |_, _, _| ());
        message
    }

    /// The user looks at each key that has changed, and accepts it if it is the account's. It may be one that a server still
    /// has of devices that are gone.
    pub(super) fn accept(&mut self, device: usize) {
        for account in 0..self.accounts.len() {
            let jid = self.accounts[account].jid;
            if !self.world.devices[device].runs() {
                return;
            }
            let key = |device: &Device| device.engine().contact(jid).ok().flatten();
            let changed = key(&self.world.devices[device]).and_then(|contact| contact.changed_key);
            let of = |device: &usize| {
                let device = &self.world.devices[*device];
                device.account() == jid && device.runs()
            };
            let own = self.live().find(of).and_then(|own| key(&self.world.devices[own])?.account_key);
            if let (Some(digest), Some(own)) = (changed, own) {
                self.observer.excuse(device);
                let accept = Command::AcceptKey { jid, digest };
                let reject = Command::RejectKey { jid, digest };
                self.command(device, if digest == own { accept } else { reject });
            }
        }
    }

    pub(super) fn online(&mut self, device: usize) {
        self.known[device].down = false;
        self.known[device].suspended = false;
        if !self.world.devices[device].is_connected() {
            // What it opened while it was away is seen now.
            self.observer.excuse(device);
        }
        if !self.world.devices[device].runs() {
            self.with(device, Device::restart);
        } else if !self.world.devices[device].is_connected() {
            self.with(device, Device::connect);
        }
    }

    pub(super) fn offline(&mut self, device: usize) {
        if self.world.devices[device].runs() {
            self.known[device].suspended = false;
            self.with(device, Device::disconnect);
        }
    }

    /// Nothing of the device is left, but what it has said.
    pub(super) fn end_device(&mut self, device: usize) {
        self.with(device, |device, server, _| device.crash(server));
        self.known[device].dead = true;
    }

    /// The device that a clone is of goes on alone: it must say once more that it was restored, for the clone may have
    /// said so last.
    pub(super) fn end_clone(&mut self, clone: usize) {
        self.end_device(clone);
        if let Some(original) = self.known[clone].clone_of {
            self.known[original].undeclared = true;
        }
    }

    fn restore(&mut self, device: usize, declared: bool) {
        let Some((store, record, watched)) = self.known[device].backup.clone() else { return };
        self.end_device(device);
        // It takes a moment.
        self.world.now = self.world.now.after(Duration::from_secs(1));
        self.known[device].dead = false;
        self.known[device].down = false;
        self.observer.fork(device);
        self.observer.devices[device] = watched;
        let state = &mut self.world.devices[device];
        (state.store, state.record, state.fault) = (store, record, None);
        state.restore();
        if declared {
            self.figures.restored_declared += 1;
            self.known[device].undeclared = false;
            self.command(device, Command::Restored);
        } else {
            self.figures.restored_undeclared += 1;
            self.known[device].undeclared = true;
        }
        self.with(device, Device::restart);
    }

    fn clone_device(&mut self, device: usize) {
        self.world.now = self.world.now.after(Duration::from_secs(1));
        let original = &self.world.devices[device];
        let full = format!("{}-{}", original.full_jid, self.known.len());
        let mut clone = Device::another(original, &full, &mut self.world.rng);
        clone.agent = LocalAgent::from_bytes(&original.agent.to_bytes(), &original.config.suites)
            .expect("what it wrote");
        clone.config = original.config.clone();
        clone.store = original.store.clone();
        clone.record = original.record.clone();
        clone.restore();
        let watched = self.observer.devices[device].clone();
        self.observer.run_twice(device);
        self.figures.cloned += 1;
        self.known[device].undeclared = true;
        let clone = self.push(clone, Known { clone_of: Some(device), ..Known::default() });
        self.observer.devices[clone] = watched;
        self.with(clone, Device::connect);
    }

    fn leave(&mut self, account: u8) {
        // At least two stay, or nobody is left to talk with.
        if self.accounts.iter().filter(|account| !account.left).count() <= 2 {
            return;
        }
        let Some(account) = self.account(account) else { return };
        let jid = self.accounts[account].jid;
        let of = |device: &usize| {
            let device = &self.world.devices[*device];
            device.account() == jid && device.runs() && device.is_connected()
        };
        let Some(device) = self.live().find(of) else { return };
        self.figures.left += 1;
        // From now on the account itself does not encrypt.
        for watched in self.observer.devices.iter_mut().filter(|watched| watched.account == jid) {
            watched.sticky.clear();
        }
        self.command(device, Command::Leave);
        self.run();
        self.accounts[account].left = true;
    }

    fn retire(&mut self, account: u8) {
        let Some(account) = self.account(account) else { return };
        let jid = self.accounts[account].jid;
        let of = |device: &usize| {
            self.world.devices[*device].account() == jid && self.known[*device].clone_of.is_none()
        };
        let devices: Vec<usize> = self.live().filter(of).collect();
        let (Some(by), Some(device)) = (devices.first().copied(), devices.last().copied()) else { return };
        let Some(id) = self.observer.devices[device].id.filter(|_| by != device) else { return };
        let state = &self.world.devices[by];
        let shown = |state: &Device| {
            let devices = state.engine().own_devices().expect("never evicted");
            devices.iter().any(|own| own.device == id)
        };
        if !state.is_connected() || !state.runs() || !shown(state) {
            return;
        }
        self.figures.retired += 1;
        self.command(by, Command::RetireDevice { device: id });
        self.end_device(device);
    }

    fn new_key(&mut self, account: u8) {
        let Some(account) = self.account(account) else { return };
        if std::mem::replace(&mut self.accounts[account].has_new_key, true) {
            return;
        }
        let jid = self.accounts[account].jid;
        let devices: Vec<usize> =
            self.live().filter(|device| self.world.devices[*device].account() == jid).collect();
        for device in devices {
            self.end_device(device);
        }
        self.figures.new_keys += 1;
        if let Some(device) = self.add_device(account) {
            self.with(device, Device::connect);
        }
    }
}
