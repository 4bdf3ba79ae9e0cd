//! Device lists: the account key says which devices there are, so a server cannot hide that one
//! was retired.

use core::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::error::{Malformed, Misbehaviour, Reason};
use crate::identity::{
    AccountKey, DeviceCertificate, Digest, Extension, MAX_EXTENSIONS, account_of, check_device,
    check_succession, join, split,
};
use crate::jid::BareJid;
use crate::suite::Suites;
use crate::wire::{self, Bytes, Undecodable};

/// What the account key signs device lists as.
pub(crate) const LIST_LABEL: &str = "device list";

/// The most devices in a list: few people have ten. Retired ones are left out only of a full list:
/// what that does not hold is retired.
pub(crate) const MAX_DEVICES: usize = 32;

/// The longest list: 32 devices, the longest JID, and room for extensions.
pub(crate) const MAX_LIST: usize = 4096;

/// Flag: the account has left this protocol.
const TOMBSTONE: u8 = 1;

/// Whether a device is in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
#[repr(u8)]
pub(crate) enum DeviceState {
    Live = 1,
    Retired = 2,
}

/// One device in a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct DeviceEntry {
    pub(crate) device: u32,
    /// Certificates of a lower serial are no longer valid.
    pub(crate) lowest_serial: u32,
    pub(crate) state: DeviceState,
}

/// What a device list says.
#[derive(Clone, TlsDeserializeBytes, TlsSerialize, TlsSize)]
pub(crate) struct ListTbs {
    /// The bare JID of the account, as prepared.
    jid: Bytes,
    /// The digest of the account key.
    account: Digest,
    /// Rises with each list.
    version: u32,
    entries: Vec<DeviceEntry>,
    flags: u8,
    extensions: Vec<Extension>,
}

impl ListTbs {
    pub(crate) fn new(
        jid: &BareJid,
        account: &AccountKey,
        version: u32,
        entries: Vec<DeviceEntry>,
        tombstone: bool,
    ) -> Self {
        let flags = if tombstone { TOMBSTONE } else { 0 };
        let account = account.digest();
        Self { jid: super::spelled(jid), account, version, entries, flags, extensions: Vec::new() }
    }

    /// The exact bytes to sign.
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Decodes bytes to sign.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Reason> {
        Ok(wire::decode(bytes, MAX_LIST)?)
    }

    /// Refuses what no list may say, whoever signed it.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        account_of(&self.jid)?;
        if self.extensions.len() > MAX_EXTENSIONS {
            return Err(Malformed::Encoding.into());
        }
        for (index, entry) in self.entries.iter().enumerate() {
            let again = self.entries.iter().take(index).any(|other| other.device == entry.device);
            if index >= MAX_DEVICES || again {
                return Err(Malformed::Encoding.into());
            }
            check_device(entry.device)?;
        }
        Ok(())
    }

    pub(crate) fn jid(&self) -> Result<BareJid, Reason> {
        account_of(&self.jid)
    }

    pub(crate) fn account(&self) -> &Digest {
        &self.account
    }

    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn entries(&self) -> &[DeviceEntry] {
        &self.entries
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.flags & TOMBSTONE != 0
    }
}

/// A verified device list.
#[derive(Clone)]
pub(crate) struct DeviceList {
    content: ListTbs,
    jid: BareJid,
    bytes: Vec<u8>,
}

impl DeviceList {
    /// Verifies a list, which must be of `jid` and by `account`.
    pub(crate) fn verify(
        bytes: &[u8],
        jid: &BareJid,
        account: &AccountKey,
        suites: &Suites,
    ) -> Result<Self, Reason> {
        let list = Self::verify_of_any_account(bytes, account, suites)?;
        if list.jid == *jid { Ok(list) } else { Err(Misbehaviour::WrongSubject.into()) }
    }

    /// Puts together what an agent signed. Refuses what [`verify`](Self::verify) would.
    pub(crate) fn issue(
        tbs: &[u8],
        signature: &[u8],
        account: &AccountKey,
        suites: &Suites,
    ) -> Result<Self, Reason> {
        Self::verify_of_any_account(&join(tbs, signature), account, suites)
    }

    fn verify_of_any_account(bytes: &[u8], account: &AccountKey, suites: &Suites) -> Result<Self, Reason> {
        let parts = split::<ListTbs>(bytes, MAX_LIST)?;
        parts.content.check()?;
        if parts.content.account != account.digest() {
            return Err(Misbehaviour::WrongSubject.into());
        }
        account.verify(suites, LIST_LABEL, parts.exact, parts.signature.as_ref())?;
        Self::assemble(parts.content, bytes)
    }

    /// Takes the bytes of a verified list back from our own store.
    pub(crate) fn from_store(bytes: &[u8]) -> Result<Self, Undecodable> {
        let parts = split::<ListTbs>(bytes, MAX_LIST).map_err(|_| Undecodable)?;
        Self::assemble(parts.content, bytes).map_err(|_| Undecodable)
    }

    fn assemble(content: ListTbs, bytes: &[u8]) -> Result<Self, Reason> {
        let jid = content.jid()?;
        Ok(Self { content, jid, bytes: bytes.to_vec() })
    }

    /// Refuses to let this follow `known` unless it is newer, or the very same, and takes back
    /// nothing: no retired device lives again, no serial counts again, no tombstone goes.
    pub(crate) fn check_successor_of(&self, known: &Self) -> Result<(), Reason> {
        if self.jid != known.jid || self.content.account != known.content.account {
            return Err(Misbehaviour::WrongSubject.into());
        }
        check_succession((self.version(), &self.bytes), (known.version(), &known.bytes))?;
        if self.takes_back(known) { Err(Misbehaviour::RolledBack.into()) } else { Ok(()) }
    }

    /// Whether this is another list of the same version, as two devices make at once, and takes nothing back.
    pub(crate) fn is_made_beside(&self, known: &Self) -> bool {
        let same = self.jid == known.jid && self.content.account == known.content.account;
        same && self.version() == known.version() && self.bytes != known.bytes && !self.takes_back(known)
    }

    /// Whether a device that was retired lives, a serial counts again, or a tombstone is gone.
    fn takes_back(&self, known: &Self) -> bool {
        let lives_again = |entry: &DeviceEntry| match (entry.state, self.is_live(entry.device)) {
            (DeviceState::Retired, live) => live,
            (DeviceState::Live, _) => {
                self.lowest_serial(entry.device).is_some_and(|lowest| lowest < entry.lowest_serial)
            }
        };
        let tombstone_gone = known.is_tombstone() && !self.is_tombstone();
        tombstone_gone || known.entries().iter().any(lives_again)
    }

    /// Whether this says of the device, or of the whole account, that it is no more.
    pub(crate) fn retires(&self, device: u32) -> bool {
        let retired = |entry: &DeviceEntry| entry.device == device && entry.state == DeviceState::Retired;
        self.is_tombstone() || self.entries().iter().any(retired)
    }

    /// Whether this says nothing of a device, and had room to: who retires one says so. It was made where the list that
    /// holds the device was not shown.
    pub(crate) fn leaves_out(&self, device: u32) -> bool {
        !self.is_tombstone() && !self.holds(device) && self.entries().len() < MAX_DEVICES
    }

    /// Whether a list of before says this, and the maker of this one did not know it: it leaves the device out, or has one
    /// live that was retired.
    pub(crate) fn lacks(&self, entry: &DeviceEntry) -> bool {
        let retired = entry.state == DeviceState::Retired;
        self.leaves_out(entry.device) || retired && self.is_live(entry.device)
    }

    /// Refuses a certificate that this list does not let live.
    pub(crate) fn accepts(&self, certificate: &DeviceCertificate) -> Result<(), Reason> {
        if *certificate.jid() != self.jid || *certificate.account_digest() != self.content.account {
            return Err(Misbehaviour::WrongSubject.into());
        }
        if self.is_tombstone() || !self.is_live(certificate.device()) {
            return Err(Misbehaviour::Retired.into());
        }
        if self.lowest_serial(certificate.device()).is_none_or(|lowest| certificate.serial() < lowest) {
            return Err(Misbehaviour::RolledBack.into());
        }
        Ok(())
    }

    /// The digest of the account key.
    pub(crate) fn account(&self) -> &Digest {
        &self.content.account
    }

    /// The exact bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn version(&self) -> u32 {
        self.content.version
    }

    pub(crate) fn entries(&self) -> &[DeviceEntry] {
        &self.content.entries
    }

    /// Whether the list says anything of `device`.
    pub(crate) fn holds(&self, device: u32) -> bool {
        self.entry(device).is_some()
    }

    /// Whether the list holds `device`, and as live.
    pub(crate) fn is_live(&self, device: u32) -> bool {
        self.entry(device).is_some_and(|entry| entry.state == DeviceState::Live)
    }

    /// The lowest serial that a certificate of `device` may have.
    pub(crate) fn lowest_serial(&self, device: u32) -> Option<u32> {
        self.entry(device).map(|entry| entry.lowest_serial)
    }

    /// Whether the account says that it has left.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.content.is_tombstone()
    }

    /// What the list says of `device`.
    pub(crate) fn entry(&self, device: u32) -> Option<&DeviceEntry> {
        self.entries().iter().find(|entry| entry.device == device)
    }
}

impl fmt::Debug for DeviceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceList").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::fixture::{Device, damaged};

    fn entry(device: u32, lowest_serial: u32, state: DeviceState) -> DeviceEntry {
        DeviceEntry { device, lowest_serial, state }
    }

    fn list(device: &Device, version: u32, entries: Vec<DeviceEntry>, tombstone: bool) -> DeviceList {
        device.verify_list(&bytes(device, version, entries, tombstone)).unwrap()
    }

    fn bytes(device: &Device, version: u32, entries: Vec<DeviceEntry>, tombstone: bool) -> Vec<u8> {
        let tbs = ListTbs::new(&device.jid, &device.account(), version, entries, tombstone);
        device.sign_as_account(LIST_LABEL, &tbs.encode())
    }

    impl Device {
        fn verify_list(&self, bytes: &[u8]) -> Result<DeviceList, Reason> {
            DeviceList::verify(bytes, &self.jid, &self.account(), &Suites::default())
        }
    }

    use DeviceState::{Live, Retired};

    #[test]
    fn round_trip_and_damage() {
        let device = Device::new("alice@example.com", 1);
        let list = list(&device, 3, vec![entry(1, 1, Live), entry(2, 5, Retired)], false);
        assert!(list.is_live(1) && !list.is_live(2) && !list.is_live(3));
        assert_eq!((list.lowest_serial(2), list.lowest_serial(3), list.version()), (Some(5), None, 3));
        assert_eq!(DeviceList::from_store(list.bytes()).unwrap().entries(), list.entries());
        for bytes in damaged(list.bytes()) {
            assert!(device.verify_list(&bytes).is_err());
        }
    }

    #[test]
    fn of_this_account_only() {
        let (alice, bob) = (Device::new("alice@example.com", 1), Device::new("bob@example.com", 2));
        let of_alice = bytes(&alice, 1, vec![], false);
        let wrong = Some(Misbehaviour::WrongSubject.into());
        assert_eq!(bob.verify_list(&of_alice).err(), wrong);
        let suites = Suites::default();
        assert_eq!(DeviceList::verify(&of_alice, &bob.jid, &alice.account(), &suites).err(), wrong);
        let tbs = ListTbs::new(&alice.jid, &alice.account(), 1, vec![], false).encode();
        let foreign = bob.sign_as_account(LIST_LABEL, &tbs);
        assert_eq!(alice.verify_list(&foreign).err(), Some(Reason::Unauthentic));
    }

    #[test]
    fn bounds() {
        let device = Device::new("alice@example.com", 1);
        let entries = |count: u32| (1..=count).map(|id| entry(id, 0, Live)).collect::<Vec<_>>();
        let verify = |entries| device.verify_list(&bytes(&device, 1, entries, false)).map(drop);
        let malformed = Err(Malformed::Encoding.into());
        assert_eq!(verify(entries(32)), Ok(()));
        assert_eq!(verify(entries(33)), malformed);
        assert_eq!(verify(vec![entry(1, 0, Live), entry(1, 1, Live)]), malformed);
        assert_eq!(verify(vec![entry(0, 0, Live)]), malformed);
    }

    #[test]
    fn takes_nothing_back() {
        let device = Device::new("alice@example.com", 1);
        let known = list(&device, 5, vec![entry(1, 2, Live), entry(2, 1, Retired)], false);
        let follows = |version, entries, tombstone| {
            list(&device, version, entries, tombstone).check_successor_of(&known)
        };
        let rolled_back = Err(Misbehaviour::RolledBack.into());
        assert_eq!(follows(5, known.entries().to_vec(), false), Ok(()));
        assert_eq!(follows(6, vec![entry(1, 2, Retired)], false), Ok(()));
        assert_eq!(follows(4, known.entries().to_vec(), false), rolled_back);
        assert_eq!(follows(5, vec![], false), Err(Misbehaviour::Equivocation.into()));
        assert_eq!(follows(6, vec![entry(1, 1, Live)], false), rolled_back);
        assert_eq!(follows(6, vec![entry(2, 1, Live)], false), rolled_back);
        let beside = |version, entries| list(&device, version, entries, false).is_made_beside(&known);
        assert!(beside(5, vec![]) && beside(5, vec![entry(1, 2, Live), entry(3, 1, Live)]));
        assert!(!beside(5, known.entries().to_vec()) && !beside(6, vec![]) && !beside(4, vec![]));
        assert!(!beside(5, vec![entry(1, 1, Live)]) && !beside(5, vec![entry(2, 1, Live)]));
        let gone = list(&device, 6, vec![], true);
        assert_eq!(list(&device, 7, vec![], false).check_successor_of(&gone), rolled_back);
        assert_eq!(list(&device, 7, vec![], true).check_successor_of(&gone), Ok(()));
    }

    #[test]
    fn accepts_live_devices_of_its_account() {
        let device = Device::new("alice@example.com", 1);
        let certificate = device.certificate();
        let accepts = |entries, tombstone| list(&device, 1, entries, tombstone).accepts(&certificate);
        let (id, serial) = (device.id, certificate.serial());
        let retired = Err(Misbehaviour::Retired.into());
        assert_eq!(accepts(vec![entry(id, serial, Live)], false), Ok(()));
        assert_eq!(accepts(vec![entry(id, serial + 1, Live)], false), Err(Misbehaviour::RolledBack.into()));
        assert_eq!(accepts(vec![entry(id, serial, Retired)], false), retired);
        assert_eq!(accepts(vec![entry(id ^ 1, serial, Live)], false), retired);
        assert_eq!(accepts(vec![entry(id, serial, Live)], true), retired);
        let other = Device::new("alice@example.com", 2);
        let foreign = list(&other, 1, vec![entry(id, 0, Live)], false);
        assert_eq!(foreign.accepts(&certificate), Err(Misbehaviour::WrongSubject.into()));
    }
}
