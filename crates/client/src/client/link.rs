//! The connection of a client: made, written to, read from, lost and made again.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Sink, Stream as _};
use minidom::{Element, rxml};
use tokio::time::Instant;
use tokio_xmpp::xmlstream::ReadError;
use xmpp_e2e::{Input, SendError};

use super::{Client, MAX_BACKLOG, Subject, now};
use crate::config::Config;
use crate::connect::{ConnectError, Connected, Resume, Stream, connect};
use crate::event::{Error, Event, Fault, Offline};
use crate::sm::{Sent, StreamManagement};
use crate::storage::Storage;
use crate::wire::Incoming;
use crate::xml::SM;

/// The pause where unreadable bytes come again soon after the last.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(10);

/// The connection.
pub(super) enum Link {
    Down { until: Instant },
    Connecting(Pin<Box<dyn Future<Output = Result<Connected, ConnectError>> + Send>>),
    Up { stream: Box<Stream>, flush: bool },
    Closed,
}

/// What is to be written.
pub(super) enum Out {
    /// Counted by stream management.
    Stanza(Sent),
    /// Not counted, or counted before.
    Other(Element),
}

/// What the loop waits for.
pub(super) enum Happened {
    Connected(Result<Box<Connected>, ConnectError>),
    Came(Option<Result<Incoming, ReadError>>),
    WriteFailed(std::io::Error),
    Timer,
}

impl<S: Storage> Client<S> {
    pub(crate) fn up(&mut self, stream: Stream) {
        self.link = Link::Up { stream: Box::new(stream), flush: false };
        self.attempts = 0;
    }

    /// Bytes came that are no XML, or the network failed.
    pub(super) fn broken(&mut self, error: &std::io::Error) -> Result<(), Error<S::Error>> {
        if !is_bad_xml(error) {
            return self.lost(Some(error.to_string()));
        }
        // Out of order is better than acknowledged and gone.
        self.release(&BTreeSet::new())?;
        self.fault(Fault::Unreadable);
        // It would come again and again; so it counts as handled. A server that had counted nothing there refuses
        // the resumption, and all is well too.
        self.handled_then(None);
        self.lost(Some("unreadable".to_owned()))?;
        // At once, but not again and again.
        let pause = if self.unreadable.is_some_and(|at| at.elapsed() < UNREADABLE_PAUSE) {
            UNREADABLE_PAUSE
        } else {
            Duration::ZERO
        };
        self.unreadable = Some(Instant::now());
        self.link = Link::Down { until: Instant::now() + pause };
        Ok(())
    }

    /// The stream is gone.
    pub(crate) fn lost(&mut self, why: Option<String>) -> Result<(), Error<S::Error>> {
        self.step([Input::Disconnected], Subject::Nothing)?;
        // If the session cannot go on, the archive has what comes meanwhile.
        self.catch_up(self.archive.last.is_some())?;
        // Not acknowledged, so they come again.
        self.held.clear();
        self.sm.forget_held();
        self.pause(Offline::Lost(why));
        Ok(())
    }

    pub(super) fn pause(&mut self, why: Offline) {
        let pause = self.config.pause.saturating_mul(1 << self.attempts.min(16)).min(Config::MAX_PAUSE);
        // Not all clients of a server at once.
        let spread =
            0.75 + 0.5 * f64::from(u32::try_from(self.random() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        self.attempts += 1;
        self.link = Link::Down { until: Instant::now() + pause.mul_f64(spread) };
        self.tell(Event::Offline(why));
    }

    /// What was on the stream that cannot be resumed: stanzas in clear go again, all else is made anew.
    pub(crate) fn reset_stream(&mut self) {
        let lost = core::mem::take(&mut self.sm).lost();
        let unwritten = self.out.drain(..).filter_map(|out| match out {
            Out::Stanza(sent) => Some(sent),
            Out::Other(_) => None,
        });
        let again = lost.chain(unwritten).filter(|sent| sent.id.is_none() && sent.stanza.name() == "message");
        let mut again: VecDeque<Sent> = again.collect();
        again.append(&mut self.backlog);
        for token in
            again.drain(MAX_BACKLOG.min(again.len())..).filter_map(|sent| sent.token).collect::<Vec<_>>()
        {
            self.tell(Event::Failed { token, why: SendError::Full });
        }
        self.backlog = again;
    }

    pub(super) fn timer(&mut self) -> Result<(), Error<S::Error>> {
        if let Link::Down { until } = self.link
            && until <= Instant::now()
        {
            let resume = self.sm.id.clone().map(|id| Resume { id, h: self.sm.h() });
            self.link = Link::Connecting(Box::pin(connect(self.login.clone(), resume)));
        }
        self.time_out_requests()?;
        if self.engine.next_wakeup().is_some_and(|at| at <= now()) {
            self.step([Input::Tick], Subject::Nothing)?;
        }
        Ok(())
    }

    fn deadline(&self) -> Instant {
        let engine = self.engine.next_wakeup().map(|at| Instant::now() + at.since(now()));
        let down = match self.link {
            Link::Down { until } => Some(until),
            Link::Connecting(_) | Link::Up { .. } | Link::Closed => None,
        };
        let requests = self.requests.values().map(|request| request.deadline);
        let soonest = requests.chain(engine).chain(down).min();
        soonest.unwrap_or_else(|| Instant::now() + Config::MAX_PAUSE)
    }

    pub(super) async fn wait(&mut self) -> Happened {
        let mut timer = core::pin::pin!(tokio::time::sleep_until(self.deadline()));
        core::future::poll_fn(|context| {
            if let Poll::Ready(happened) = self.poll_link(context) {
                return Poll::Ready(happened);
            }
            timer.as_mut().poll(context).map(|()| Happened::Timer)
        })
        .await
    }

    fn poll_link(&mut self, context: &mut Context<'_>) -> Poll<Happened> {
        match &mut self.link {
            Link::Connecting(connecting) => {
                connecting.as_mut().poll(context).map(|result| Happened::Connected(result.map(Box::new)))
            }
            Link::Up { stream, flush } => {
                if let Poll::Ready(Err(error)) =
                    poll_write(stream, flush, &mut self.out, &mut self.sm, context)
                {
                    return Poll::Ready(Happened::WriteFailed(error));
                }
                Pin::new(&mut **stream).poll_next(context).map(Happened::Came)
            }
            Link::Down { .. } | Link::Closed => Poll::Pending,
        }
    }

    /// Asks a server that has been silent for long.
    pub(super) fn probe(&mut self) {
        if self.sm.on {
            self.write_uncounted(Element::bare("r", SM));
        } else {
            self.ping();
        }
    }
}

/// Writes what there is to write, and asks for acknowledgement when it is written.
fn poll_write(
    stream: &mut Stream,
    flush: &mut bool,
    out: &mut VecDeque<Out>,
    sm: &mut StreamManagement,
    context: &mut Context<'_>,
) -> Poll<Result<(), std::io::Error>> {
    loop {
        let mut stream = Pin::new(&mut *stream);
        let full = sm.is_full();
        let next = out.front().filter(|out| !(full && matches!(out, Out::Stanza(_))));
        if next.is_none() && sm.on && sm.ask() {
            out.push_front(Out::Other(Element::bare("r", SM)));
            continue;
        }
        if next.is_none() && !*flush {
            return Poll::Ready(Ok(()));
        }
        let ready = if next.is_some() {
            Sink::<&Element>::poll_ready(stream.as_mut(), context)?
        } else {
            let done = Sink::<&Element>::poll_flush(stream.as_mut(), context)?;
            *flush = done.is_pending();
            done
        };
        if ready.is_pending() {
            return Poll::Pending;
        }
        if next.is_none() {
            return Poll::Ready(Ok(()));
        }
        *flush = true;
        match out.pop_front() {
            Some(Out::Stanza(sent)) => {
                Sink::<&Element>::start_send(stream.as_mut(), &sent.stanza)?;
                sm.sent(sent);
            }
            Some(Out::Other(element)) => Sink::<&Element>::start_send(stream.as_mut(), &element)?,
            None => {}
        }
    }
}

/// Whether the parser refused what came. A stream that stops in the middle of something is the network's doing:
/// what had begun has not come, and counted as handled it would be lost.
fn is_bad_xml(error: &std::io::Error) -> bool {
    let parser = error.get_ref().and_then(|inner| inner.downcast_ref::<rxml::Error>());
    parser.is_some_and(|error| !matches!(error, rxml::Error::InvalidEof(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_stops_is_not_unreadable() {
        use minidom::rxml::{AsyncReader, Parser};
        let read = |text: &'static [u8]| {
            let mut reader = AsyncReader::wrap(text, Parser::new());
            futures::executor::block_on(async {
                loop {
                    if let Err(error) = reader.read().await {
                        return error;
                    }
                }
            })
        };
        assert!(is_bad_xml(&read(b"<stream><a></b>")) && is_bad_xml(&read(b"<stream>&nbsp;")));
        assert!(!is_bad_xml(&read(b"<stream>")) && !is_bad_xml(&read(b"<stream><mess")));
        assert!(!is_bad_xml(&std::io::ErrorKind::ConnectionReset.into()));
    }
}
