//! What happened, in numbers.

use std::fmt;

macro_rules! figures {
    ($($(#[doc = $doc:literal])+ $name:ident),* $(,)?) => {
        /// How often what happened, in one history or in many.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub struct Figures {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl Figures {
            /// Adds those of another history: numbers are summed, and of what is the most in a history the more is kept.
            pub fn add(&mut self, other: &Self) {
                $(if stringify!($name).starts_with("most_") {
                    self.$name = self.$name.max(other.$name);
                } else {
                    self.$name += other.$name;
                })*
            }
        }

        impl fmt::Display for Figures {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:24}{:>12}", stringify!($name).replace('_', " "), self.$name)?;)*
                Ok(())
            }
        }
    };
}

figures! {
    /// Histories.
    histories,
    /// Accounts.
    accounts,
    /// Devices, clones not counted.
    devices,
    /// Actions of the plans.
    actions,
    /// Stanzas lost.
    lost,
    /// Stanzas that others overtook.
    reordered,
    /// Stanzas that came twice.
    repeated,
    /// Stanzas delayed by up to a minute.
    delayed,
    /// Stanzas kept back for up to ten days.
    withheld,
    /// Stanzas edited.
    edited,
    /// Stanzas that lost this protocol's element.
    stripped,
    /// Stanzas that came again much later.
    replayed,
    /// Stanzas that came to the wrong device.
    misdirected,
    /// Changes of how a server does PEP, stale keys included.
    pep_faults,
    /// Programs that died.
    crashes,
    /// Batches that a store refused.
    batches_refused,
    /// Backups restored, and said to be.
    restored_declared,
    /// Backups restored in secret.
    restored_undeclared,
    /// Devices that ran twice.
    cloned,
    /// Devices wiped.
    wiped,
    /// Devices retired.
    retired,
    /// Accounts that began anew with another key.
    new_keys,
    /// Accounts that left the protocol.
    left,
    /// Hours that passed.
    hours,
    /// Stanzas and ticks handled.
    inputs,
    /// Messages handed in.
    messages,
    /// Messages delivered, each device counted.
    deliveries,
    /// Messages that went out in clear before their sender knew better.
    in_clear,
    /// Handshakes opened.
    handshakes,
    /// Of these, those within an hour of another between the same two devices, either way.
    handshakes_again,
    /// Of these, those that needed an excuse: see `Violation`.
    handshakes_excused,
    /// Refused stanzas.
    rejected,
    /// Stanzas that had come before.
    duplicates,
    /// Events that a state was rolled back or cloned.
    superseded,
    /// Events that a key had changed.
    keys_changed,
    /// Archive results that had been kept for a device.
    archive_results,
    /// The most records of a device.
    most_records,
    /// The most bytes in the records of a device.
    most_bytes,
    /// The most inputs of a history.
    most_inputs,
}
