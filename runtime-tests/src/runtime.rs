//! Which binary is under test, and what it says it is.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The runtime binary.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Absolute path.
    pub path: PathBuf,
    /// First word of `--version`: `runc`, `crun`, `sandboxd`, …
    pub name: String,
    /// The version, as it prints it.
    pub version: String,
}

impl Runtime {
    /// Finds the binary: `RUNTIME`, else our own: `SANDBOXD`, `./sandboxd`, the target directory.
    ///
    /// # Errors
    /// A sentence that says what was looked for.
    pub fn find() -> Result<Self, String> {
        if let Some(named) = env::var_os("RUNTIME").or_else(|| env::var_os("SANDBOXD")) {
            return Self::at(Path::new(&named));
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut places = vec![PathBuf::from("sandboxd"), workspace.join("sandboxd")];
        let target = env::var_os("CARGO_TARGET_DIR").map_or(workspace.join("target"), PathBuf::from);
        for profile in ["release", "debug"] {
            for triple in ["", "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
                places.push(target.join(triple).join(profile).join("sandboxd"));
            }
        }
        let newest = places
            .iter()
            .filter(|place| place.is_file())
            .max_by_key(|place| place.metadata().and_then(|meta| meta.modified()).ok());
        match newest {
            Some(place) => Self::at(place),
            None => {
                Err("no runtime: set RUNTIME=/path/to/one, or `cargo build --release -p sandboxd`".into())
            }
        }
    }

    /// The runtime at `path`; asks it who it is.
    ///
    /// # Errors
    /// A sentence, when it is not there or doesn't answer `--version`.
    pub fn at(path: &Path) -> Result<Self, String> {
        let path = match path.components().count() {
            1 => search_path(path).unwrap_or_else(|| path.to_owned()),
            _ => path.to_owned(),
        };
        let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .map_err(|error| format!("{} --version: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let first = text.lines().next().unwrap_or_default();
        let mut words = first.split_whitespace();
        let name = words.next().unwrap_or("unknown").to_owned();
        let version = words.last().unwrap_or("unknown").to_owned();
        Ok(Self { path, name, version })
    }

    /// Whether it is this workspace's own.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.name == "sandboxd"
    }
}

fn search_path(name: &Path) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}
