//! Where things are kept: the file, its key, the password.

use std::fs;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use xmpp_e2e_sqlite::{Database, Key};
use zeroize::Zeroizing;

use crate::Stop;
use crate::args::Args;

/// Larger than any file with a key or a password.
const MAX_FILE: u64 = 65_536;

/// Opens the store of these arguments, made if it is not there and `make` is set.
///
/// # Errors
/// Why it cannot be opened.
pub fn open(args: &Args, make: bool) -> Result<Database, Stop> {
    let path = match &args.store {
        Some(path) => path.clone(),
        None => folder().ok_or_else(|| Stop::error("no data folder; use --store"))?.join(&args.account),
    };
    let path = if args.store.is_some() { path } else { PathBuf::from(format!("{}.db", path.display())) };
    if !make && !path.exists() {
        return Err(Stop::error(format!("there is no store {}", path.display())));
    }
    if let Some(parent) = path.parent().filter(|parent| make && !parent.as_os_str().is_empty()) {
        make_folder(parent).map_err(|error| Stop::error(format!("{}: {error}", parent.display())))?;
    }
    let database = match &args.key_file {
        Some(file) => Database::open_sealed(&path, &key(file)?),
        None => Database::open(&path),
    };
    database.map_err(|error| Stop::error(format!("{}: {}", path.display(), crate::words::store(&error))))
}

/// The key in a file.
///
/// # Errors
/// If there is none.
pub fn key(file: &Path) -> Result<Key, Stop> {
    let wrong = || {
        let file = file.display();
        Stop::error(format!(
            "{file} does not hold 32 bytes as hex or base64; make one with: head -c 32 /dev/urandom | base64 > {file}"
        ))
    };
    let text = read(file)?;
    let bytes = decode(text.trim()).ok_or_else(wrong)?;
    let bytes: &[u8; Key::LEN] = bytes.as_slice().try_into().map_err(|_| wrong())?;
    Ok(Key::new(bytes))
}

fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() == 2 * Key::LEN {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes = text.as_bytes().chunks(2).map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        });
        return bytes.collect::<Option<_>>().map(Zeroizing::new);
    }
    BASE64_STANDARD.decode(text).ok().map(Zeroizing::new)
}

fn read(file: &Path) -> Result<Zeroizing<String>, Stop> {
    let read = || {
        let mut text = Zeroizing::new(String::new());
        fs::File::open(file)?.take(MAX_FILE).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|error: std::io::Error| Stop::error(format!("{}: {error}", file.display())))
}

/// The account's password: from the file, the environment, or the user.
///
/// # Errors
/// If there is none.
pub fn password(args: &Args) -> Result<Zeroizing<String>, Stop> {
    if let Some(file) = &args.password_file {
        return Ok(Zeroizing::new(read(file)?.lines().next().unwrap_or_default().to_owned()));
    }
    if let Ok(password) = std::env::var("XMPP_PASSWORD") {
        return Ok(Zeroizing::new(password));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Stop { code: 2, why: "no password: use --password-file or XMPP_PASSWORD".to_owned() });
    }
    let question = format!("Password of {}: ", args.account);
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(Stop::error)
}

/// The user's data folder for this program.
fn folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        let given = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
        given.or_else(|| variable("HOME").map(|home| home.join(".local/share")))
    };
    data.map(|data| data.join("xmpp-e2e-chat"))
}

/// Folders that only the user can enter; those that are there stay as they are.
fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn keys_as_hex_and_base64() {
        let bytes: Vec<u8> = (0..32).collect();
        let hex: String = crate::text::hex(&bytes).to_uppercase();
        assert_eq!(decode(&hex).unwrap().as_slice(), bytes);
        assert_eq!(decode(&BASE64_STANDARD.encode(&bytes)).unwrap().as_slice(), bytes);
        assert!(decode(&"g".repeat(64)).is_none() && decode("?").is_none());
    }

    #[test]
    fn the_store_is_the_users_alone_and_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let args = |more: &[String]| {
            let store = path("new/folder/store");
            let fixed = ["xmpp-e2e-chat", "r@x", "--store", &store].map(str::to_owned);
            Args::parse_from(fixed.iter().chain(more))
        };
        assert!(open(&args(&[]), false).is_err());
        fs::write(path("key"), format!("{}\n", "0".repeat(64))).unwrap();
        let sealed = args(&["--key-file".to_owned(), path("key")]);
        open(&sealed, true).unwrap().account("r@x").unwrap();
        assert!(open(&args(&[]), true).is_err());
        assert_eq!(open(&sealed, false).unwrap().accounts().unwrap(), ["r@x"]);
        fs::write(path("key"), "short").unwrap();
        assert!(open(&sealed, true).unwrap_err().why.contains("32 bytes"));
        #[cfg(unix)]
        for (name, mode) in [("new/folder/store", 0o600), ("new/folder", 0o700)] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
    }

    #[test]
    fn the_password_is_the_first_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, " secret \r\nmore\n").unwrap();
        let args = Args::parse_from(["xmpp-e2e-chat", "r@x", "--password-file", &file.display().to_string()]);
        assert_eq!(password(&args).unwrap().as_str(), " secret ");
    }
}
