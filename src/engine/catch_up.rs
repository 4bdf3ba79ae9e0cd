//! While an archive is read of what came in an absence, nothing is deleted for its age.

use core::time::Duration;

use crate::engine::draft::{Done, Draft};
use crate::engine::records::CatchUp;
use crate::env::Timestamp;
use crate::error::Error;

/// Reading an archive takes minutes; an application that never says that it is done ages keys all the same after a
/// day with a stream.
const MAX_CONNECTED: Duration = Duration::from_hours(24);

/// The same for one that is hardly ever connected.
const MAX_ALTOGETHER: Duration = Duration::from_hours(7 * 24);

/// The latest time at which it ends.
fn end(catch_up: &CatchUp) -> Timestamp {
    let altogether = catch_up.began.after(MAX_ALTOGETHER);
    let rest = MAX_CONNECTED.saturating_sub(Duration::from_millis(catch_up.connected));
    catch_up.since.map_or(altogether, |since| Timestamp::from_millis(since).after(rest).min(altogether))
}

impl Draft<'_> {
    /// Begins, or ends.
    pub(super) fn set_catch_up(&mut self, active: bool) -> Done {
        let now = self.now;
        let own = self.own_mut()?;
        if !active {
            own.catch_up = None;
        } else if own.catch_up.is_none() {
            let since = own.connected.then_some(now.as_millis());
            own.catch_up = Some(CatchUp { began: now, connected: 0, since });
        }
        Ok(())
    }

    /// Until when nothing is deleted for its age, if that is so.
    pub(super) fn catching_up_until(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.own()?.catch_up.as_ref().map(end).filter(|end| self.now < *end))
    }

    pub(super) fn is_catching_up(&self) -> Result<bool, Error> {
        Ok(self.catching_up_until()?.is_some())
    }

    /// The stream has come, or is gone.
    pub(super) fn catch_up_stream(&mut self, connected: bool) -> Done {
        let now = self.now.as_millis();
        if let Some(catch_up) = &mut self.own_mut()?.catch_up {
            let passed = catch_up.since.map_or(0, |since| now.saturating_sub(since));
            catch_up.connected = catch_up.connected.saturating_add(passed);
            catch_up.since = connected.then_some(now);
        }
        Ok(())
    }
}
