//! Where the configuration's text comes from: a file, standard input, or an environment variable. Reads it whole,
//! within a limit; knows nothing of its content.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::ConfigError;

/// The environment variable that may hold the whole configuration.
pub const CONFIG_VARIABLE: &str = "DDB_KINESIS_BRIDGE_CONFIG_TOML";

/// Far above any sensible configuration; a device or a log named by mistake must not fill the memory.
const MAX_TEXT_BYTES: u64 = 1024 * 1024;

/// One of the three places; displays as the name that errors use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// `--config FILE`
    File(PathBuf),
    /// `--config -`
    StandardInput,
    /// No `--config`: the variable [`CONFIG_VARIABLE`].
    Environment,
}

impl ConfigSource {
    /// From `--config`'s argument, which wins over the environment.
    pub fn of_argument(argument: Option<PathBuf>) -> Self {
        match argument {
            Some(path) if path.as_os_str() == "-" => Self::StandardInput,
            Some(path) => Self::File(path),
            None => Self::Environment,
        }
    }

    /// The whole text.
    pub(super) fn read(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
        let bytes = match self {
            Self::File(path) => self.read_file(path)?,
            Self::StandardInput => self.read_limited(io::stdin().lock())?,
            Self::Environment => return variable(env),
        };
        String::from_utf8(bytes).map_err(|error| {
            let line =
                error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|&&b| b == b'\n');
            let line = line.count() + 1;
            self.unreadable(format!("line {line} is not UTF-8 text; save the configuration as UTF-8"))
        })
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, ConfigError> {
        if path.is_dir() {
            return Err(self.unreadable("is a directory; name the configuration file inside it".to_owned()));
        }
        let file = File::open(path).map_err(|error| self.unreadable(cannot_read(&error)))?;
        self.read_limited(file)
    }

    fn read_limited(&self, from: impl Read) -> Result<Vec<u8>, ConfigError> {
        let mut bytes = Vec::new();
        let mut limited = from.take(MAX_TEXT_BYTES + 1);
        limited.read_to_end(&mut bytes).map_err(|error| self.unreadable(cannot_read(&error)))?;
        if bytes.len() as u64 > MAX_TEXT_BYTES {
            let message = "is larger than 1 MiB, the limit for a configuration; is this the right file?";
            return Err(self.unreadable(message.to_owned()));
        }
        Ok(bytes)
    }

    fn unreadable(&self, message: String) -> ConfigError {
        ConfigError::unreadable(self.clone(), message)
    }
}

fn cannot_read(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file; check the path given to --config, or start from the \
             sample that `ddb-kinesis-bridge config` prints"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "may not be read by this user; grant it read permission on the file and its directories"
                .to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

fn variable(env: &dyn Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    env(CONFIG_VARIABLE).filter(|text| !text.trim().is_empty()).ok_or_else(|| {
        ConfigError::absent(format!(
            "no configuration is given; name a file with `--config FILE`, pass the text on standard input with \
             `--config -`, or put the text into the environment variable {CONFIG_VARIABLE} \
             (`ddb-kinesis-bridge config` prints a commented sample)"
        ))
    })
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::StandardInput => f.write_str("standard input"),
            Self::Environment => f.write_str(CONFIG_VARIABLE),
        }
    }
}
