//! What a step needs from outside besides its input: the time and randomness.

use core::fmt;
use core::time::Duration;

use rand_core::CryptoRng;

/// Milliseconds since the Unix epoch, as the caller's clock has them.
///
/// A time before one already seen counts as standing still.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The last time there is.
    pub(crate) const MAX: Self = Self(u64::MAX);

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The start of the second `seconds` after the Unix epoch.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        // u32 seconds in milliseconds always fit u64.
        Self(seconds as u64 * 1000)
    }

    /// Whole seconds since the Unix epoch, at most `u32::MAX` (the year 2106), which is what the
    /// wire holds.
    #[must_use]
    pub fn as_secs(self) -> u32 {
        u32::try_from(self.0 / 1000).unwrap_or(u32::MAX)
    }

    /// This time and `duration` more, at most the last time there is.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The outside of one step.
#[expect(
    clippy::exhaustive_structs,
    reason = "the caller builds it for every step; these two are all a step may take from outside"
)]
pub struct Env<'a> {
    /// The time now.
    pub now: Timestamp,
    /// Randomness fit for keys, such as `UnwrapErr(SysRng)` of the `getrandom` crate.
    pub rng: &'a mut dyn CryptoRng,
}

impl fmt::Debug for Env<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, rng: _ } = self;
        f.debug_struct("Env").field("now", now).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.after(Duration::from_secs(1)), end);
        assert_eq!(Timestamp::default().since(end), Duration::ZERO);
        assert_eq!(end.as_secs(), u32::MAX);
        assert_eq!(Timestamp::from_secs(7).as_millis(), 7000);
    }
}
