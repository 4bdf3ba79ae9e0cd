//! The user's own devices.

use std::fs::File;
use std::io::{Read, Write};

use xmpp_e2e_client::Error;
use xmpp_e2e_client::xmpp_e2e::{Command as Engine, HistoryOffer};

use super::{App, stop};
use crate::Stop;
use crate::history::Reader;
use crate::line::Line;

/// Read and written at once.
const PIECE: usize = 65_536;

impl App {
    /// `/devices`.
    pub(super) fn devices(&mut self) -> Result<(), Stop> {
        let devices = self.client.engine().own_devices().map_err(Stop::error)?;
        if devices.is_empty() {
            return self.error("this device is not one of the account yet");
        }
        devices.into_iter().try_for_each(|device| self.print(&Line::Device(device)))
    }

    /// `/link`.
    pub(super) fn link(&mut self) -> Result<(), Stop> {
        if self.accept_linking()? {
            return self.ok("comparing with the new device");
        }
        if self.client.has_account_key() {
            return self.error("no device asks to be let in; start this program there with --link");
        }
        if self.does(Engine::Link)? { self.ok("asking your other devices: type /link there") } else { Ok(()) }
    }

    /// `/name`.
    pub(super) fn name(&mut self, name: &str) -> Result<(), Stop> {
        if self.does(Engine::NameDevice { name })? {
            self.ok(&format!("this device is {name}"))
        } else {
            Ok(())
        }
    }

    /// `/retire`.
    pub(super) fn retire(&mut self, device: u32) -> Result<(), Stop> {
        let done = self.does(Engine::RetireDevice { device })?;
        if done { self.ok(&format!("shutting out device {device}")) } else { Ok(()) }
    }

    /// `/history-send`: writes the history for another own device, and gives it the key.
    pub(super) fn send_history(&mut self, device: u32, path: &str) -> Result<(), Stop> {
        let mut writer = match self.client.seal_history(device) {
            Ok(writer) => writer,
            Err(Error::Misuse(_)) => {
                return self.error(&format!("device {device} cannot read it (/devices)"));
            }
            Err(error) => return Err(stop(error)),
        };
        let mut file = match new_file(path) {
            Ok(file) => file,
            Err(error) => return self.error(&format!("{path}: {error}")),
        };
        let written = self.history.hand_over(|piece| -> Result<(), Stop> {
            for piece in piece.chunks(PIECE) {
                file.write_all(&writer.write(piece).map_err(Stop::error)?).map_err(Stop::error)?;
            }
            Ok(())
        });
        let sealed = written.and_then(|count| {
            let (end, sealed) = writer.finish().map_err(Stop::error)?;
            file.write_all(&end).and_then(|()| file.sync_all()).map_err(Stop::error)?;
            Ok((count, sealed))
        });
        let (count, sealed) = match sealed {
            Ok(sealed) => sealed,
            Err(error) => return self.error(&format!("{path}: {}", error.why)),
        };
        let name = std::path::Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
        let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(60).collect();
        if !self.does(Engine::OfferHistory { file: sealed, name: &name })? {
            return Ok(());
        }
        self.ok(&format!(
            "{count} messages are in {path}. Only device {device} can read it: carry it there, and type /history-open FILE"
        ))
    }

    /// `/history-open`: reads it all first, for only its end says that it is whole.
    pub(super) fn open_history(&mut self, path: &str) -> Result<(), Stop> {
        let offers = self.client.engine().histories().map_err(Stop::error)?;
        let mut wrong = "no other device of yours has given this one the key of a history".to_owned();
        for HistoryOffer { id, .. } in offers.into_iter().filter(|offer| !offer.given) {
            let Some(mut sealed) = self.client.engine().open_history(id).map_err(Stop::error)? else {
                continue;
            };
            let (mut reader, mut entries) = (Reader::default(), Vec::new());
            let mut read = || -> Result<(), String> {
                let mut file = File::open(path).map_err(|error| error.to_string())?;
                let mut piece = vec![0; PIECE];
                loop {
                    let length = file.read(&mut piece).map_err(|error| error.to_string())?;
                    let Some(piece) = piece.get(..length).filter(|piece| !piece.is_empty()) else {
                        return Ok(());
                    };
                    let plain = sealed.read(piece).map_err(|error| error.to_string())?;
                    entries.extend(reader.read(&plain).map_err(|_| "no history of this program")?);
                }
            };
            // It may be the file of another offer.
            if let Err(why) = read() {
                wrong = format!("{path}: {why}");
                continue;
            }
            let (rest, whole) = match sealed.finish() {
                Ok(whole) => whole,
                Err(error) => {
                    wrong = format!("{path}: {error}");
                    continue;
                }
            };
            let Ok(more) = reader.read(&rest).and_then(|more| reader.finish().map(|()| more)) else {
                return self.error(&format!("{path}: no history of this program"));
            };
            entries.extend(more);
            let count = self.history.take_over(entries)?;
            if !self.does(Engine::TakeHistory(whole))? {
                return Ok(());
            }
            return self.ok(&format!("{count} messages of before are in the history now; delete {path}"));
        }
        self.error(&wrong)
    }
}

/// A file that is the user's alone, and was not there.
fn new_file(path: &str) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
