//! `dist`: a release that anybody can make again, bit by bit: `target/dist/sandboxd-VERSION-TARGET.tar.gz`.
//!
//! In it are the static binary, completions, manual pages, our licence and those of what is linked in, a bill of
//! materials (CycloneDX), documents, and the checksums of all. Times are the commit's, owners are root, names are sorted,
//! paths of the machine are mapped away. `--twice` builds in two directories from nothing and compares.

mod archive;
mod licences;
mod sbom;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::prelude::*;

use self::archive::Stage;
use crate::error::{Context, Failure, Result};
use crate::packages::{self, Package};
use crate::process::{output_of, run};
use crate::{build, project};

/// Shells with completions, and what each calls the file.
const SHELLS: [(&str, &str); 3] = [("bash", "sandboxd"), ("zsh", "_sandboxd"), ("fish", "sandboxd.fish")];

/// Documents that users read without the repository.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"];

/// What decides the release besides the sources.
#[derive(Clone, Debug)]
struct Release {
    version: String,
    commit: String,
    /// Seconds since 1970: the commit's, or `SOURCE_DATE_EPOCH`.
    time: u64,
    target: String,
    packages: Vec<Package>,
}

/// Entry of the task.
pub(crate) fn main(mut parser: lexopt::Parser) -> Result<ExitCode> {
    let mut twice = false;
    let mut output = project::target().join("dist");
    while let Some(argument) = parser.next()? {
        match argument {
            Long("twice") => twice = true,
            Long("output") => output = std::path::absolute(parser.value()?).context("--output")?,
            other => return Err(other.unexpected().into()),
        }
    }
    let release = read_release()?;
    if !twice {
        let binary = build_at(&project::root(), &project::target().join("dist-build"), &release)?;
        let archive = make(&release, &project::root(), &binary, &output)?;
        println!("{}", archive.display());
        return Ok(ExitCode::SUCCESS);
    }
    let places = ["one", "another-place"].map(|name| project::target().join("dist-twice").join(name));
    // Both before the first is built: who goes on working meanwhile changes neither.
    places.iter().try_for_each(|sources| copy_sources(sources))?;
    let mut archives = Vec::new();
    for sources in &places {
        let binary = build_at(sources, &sources.join("target"), &release)?;
        archives.push(make(&release, sources, &binary, &sources.join("dist"))?);
    }
    compare(&archives[0], &archives[1])?;
    for made in [archives[0].clone(), archive::checksum_file(&archives[0])] {
        archive::copy(&made, &output.join(made.file_name().unwrap_or_default()))?;
    }
    let kept = output.join(archives[0].file_name().unwrap_or_default());
    println!("both builds are the same\n{}", kept.display());
    Ok(ExitCode::SUCCESS)
}

fn read_release() -> Result<Release> {
    let git =
        |arguments: &[&str]| output_of(Command::new("git").current_dir(project::root()).args(arguments));
    let time = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(given) => given,
        Err(_) => git(&["log", "-1", "--format=%ct"])?,
    };
    let target = project::static_triple()?;
    let packages = packages::resolve(&["--package", "sandboxd", "--edges", "normal", "--target", &target])?;
    let own = packages.iter().find(|package| package.name == "sandboxd");
    let version = own.ok_or_else(|| Failure::new("cargo does not know sandboxd"))?.version.clone();
    let mut commit = git(&["rev-parse", "--short=12", "HEAD"])?.trim().to_owned();
    if !git(&["status", "--porcelain"])?.trim().is_empty() {
        commit.push_str("-changed");
    }
    Ok(Release {
        version,
        commit,
        time: time.trim().parse().context("the time of the commit")?,
        target,
        packages,
    })
}

/// Builds the static binary from a tree into a target directory, with no path of either in it.
fn build_at(sources: &Path, target: &Path, release: &Release) -> Result<PathBuf> {
    let cargo_home = packages::cargo_home()?;
    let cargo_home = cargo_home.canonicalize().context(cargo_home.display())?;
    let flags = [
        format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
        format!("--remap-path-prefix={}=/sandboxd", sources.display()),
        // Its own paths are mapped by the compiler's makers, unless its sources are installed.
        format!(
            "--remap-path-prefix={}=/rust",
            output_of(project::rustc().args(["--print", "sysroot"]))?.trim()
        ),
    ];
    let mut command = project::cargo();
    command.current_dir(sources).args(["build", "--quiet", "--locked", "--release", "--package", "sandboxd"]);
    command.args(["--target", &release.target]).arg("--target-dir").arg(target);
    command.env("SANDBOXD_COMMIT", &release.commit).env("SOURCE_DATE_EPOCH", release.time.to_string());
    // Nothing that this machine is told besides.
    command.env_remove("RUSTFLAGS");
    build::add_static(&mut command, &release.target, &flags);
    run(&mut command)?;
    Ok(target.join(&release.target).join("release/sandboxd"))
}

/// Copies the files of the work tree, tracked or about to be.
fn copy_sources(to: &Path) -> Result<()> {
    match std::fs::remove_dir_all(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context(to.display());
        }
        _ => {}
    }
    let mut git = Command::new("git");
    git.current_dir(project::root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    for file in output_of(&mut git)?.lines() {
        let (from, to) = (project::root().join(file), to.join(file));
        if from.is_file() {
            archive::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Puts the release together, with the documents of the sources; its archive.
fn make(release: &Release, sources: &Path, binary: &Path, output: &Path) -> Result<PathBuf> {
    let name = format!("sandboxd-{}-{}", release.version, release.target);
    let stage = Stage::begin(output, &name)?;
    stage.add_program(binary, "sandboxd")?;
    for (shell, file) in SHELLS {
        let script = output_of(Command::new(binary).args(["completion", shell]))?;
        stage.add_text(&format!("completions/{file}"), &script)?;
    }
    let pages = output.join("man");
    let mut man = project::cargo();
    man.args(["run", "--quiet", "--package", "sandboxd", "--example", "man", "--"]).arg(&pages);
    run(&mut man)?;
    stage.add_directory(&pages, "man/man8")?;
    for document in DOCUMENTS {
        stage.add_file(&sources.join(document), document)?;
    }
    stage.add_text("LICENSES-OF-DEPENDENCIES.txt", &licences::text(&release.packages)?)?;
    stage.add_text("sandboxd.cdx.json", &sbom::document(release)?)?;
    stage.finish(release.time)
}

/// The archives are the same, or it says what in them is not.
fn compare(one: &Path, other: &Path) -> Result<()> {
    let read = |file: &Path| std::fs::read(file).context(file.display());
    if read(one)? == read(other)? {
        return Ok(());
    }
    let sums = |archive: &Path| -> Result<String> {
        let file = archive.with_extension("").with_extension("").join("SHA256SUMS");
        std::fs::read_to_string(&file).context(file.display())
    };
    let (one, other) = (sums(one)?, sums(other)?);
    let differing = one.lines().filter(|line| !other.lines().any(|known| known == *line));
    let names: Vec<&str> = differing.filter_map(|line| line.split_whitespace().last()).collect();
    Err(Failure::new(format!(
        "the builds differ in {}",
        if names.is_empty() { "the archive".into() } else { names.join(", ") }
    )))
}
