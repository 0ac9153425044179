//! The model of a crash: each state that the directory of a container can be found in, made anew.
//!
//! The directory is looked at around each system call of `create`, `start`, `update` and `delete`: these are the prefixes of
//! its operations. A crash of the machine can lose more than a suffix, since nothing is synced: any of the files may be
//! missing, empty, torn, or of its length and full of zeros. Each of these pictures is put below a root of its own, beside
//! a container that is whole, and `list`, `state`, `delete --force` and `create` are asked: the container is gone, or whole,
//! or says that it is not, and is then removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use runtime_tests::command::Call;
use runtime_tests::record::resealed;
use runtime_tests::trace::watch;
use runtime_tests::world::thorough;
use runtime_tests::{Bundle, Case, Container, Test, Verdict};
use serde_json::json;

use super::callers::assert_nothing_left;

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Test) -> Verdict| Case::new(format!("faults::{name}"), run).only_ours();
    vec![
        case("crash_leaves_each_prefix_of_the_state_directory", prefixes),
        case("f47_crash_of_the_machine_loses_any_of_the_files", lost_files),
        case("crash_of_create_before_its_intent_leaves_the_id_free", before_intent),
        case("f05_state_is_the_old_or_the_new_one", old_or_new),
        case("crash_loses_records_of_a_container_that_runs", running_container),
    ]
}

/// What a name in the directory is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    File(Vec<u8>),
    Directory,
    Socket,
}

/// A directory: `None` where it is not there.
type Picture = Option<BTreeMap<PathBuf, Node>>;

fn picture_of(directory: &Path) -> Picture {
    let mut names = BTreeMap::new();
    fs::symlink_metadata(directory).ok()?;
    add(directory, Path::new(""), &mut names);
    Some(names)
}

fn add(directory: &Path, below: &Path, names: &mut BTreeMap<PathBuf, Node>) {
    for entry in fs::read_dir(directory.join(below)).into_iter().flatten().flatten() {
        let name = below.join(entry.file_name());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            names.insert(name.clone(), Node::Directory);
            add(directory, &name, names);
        } else if kind.is_socket() {
            names.insert(name, Node::Socket);
        } else {
            names.insert(name, Node::File(fs::read(entry.path()).unwrap_or_default()));
        }
    }
}

/// Puts the picture at the place, where nothing is.
fn restore(picture: &Picture, directory: &Path) {
    let Some(names) = picture else { return };
    fs::create_dir(directory).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
    for (name, node) in names {
        let path = directory.join(name);
        match node {
            Node::File(bytes) => {
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            Node::Directory => fs::create_dir(&path).unwrap(),
            // A socket that nobody listens at, as after a crash.
            Node::Socket => drop(UnixListener::bind(&path).unwrap()),
        }
    }
}

/// The pictures of the directory while the command is at work, each once, in their order.
fn pictures(t: &Test, call: Call, id: &str) -> Vec<Picture> {
    let directory = t.root().join(id);
    let mut seen = vec![picture_of(&directory)];
    let status = watch(call, || {
        let now = picture_of(&directory);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    });
    assert_eq!(status, 0, "the command failed by itself");
    seen
}

/// Every picture of a container's life.
fn life(t: &Test, b: &Bundle) -> (String, Vec<Picture>) {
    b.write();
    let id = t.fresh_id();
    let bundle = b.path.to_str().unwrap();
    let resources = t.dir.join("resources");
    fs::write(&resources, json!({"devices": [{"allow": false, "access": "rwm"}]}).to_string()).unwrap();
    let mut all = pictures(t, t.call(&["create", "--bundle", bundle, &id]), &id);
    all.extend(pictures(t, t.call(&["start", &id]), &id));
    all.extend(pictures(t, t.call(&["update", "--resources", resources.to_str().unwrap(), &id]), &id));
    Container::open(t, &id).stop();
    all.extend(pictures(t, t.call(&["delete", &id]), &id));
    (id, all)
}

/// With what the container's end has left on the machine gone: the root of pictures, and a container that is whole.
struct Model<'t> {
    t: &'t Test,
    root: PathBuf,
    neighbour: String,
    bundle: Bundle,
}

impl<'t> Model<'t> {
    fn new(t: &'t Test) -> Self {
        let bundle = t.bundle();
        bundle.stays().write();
        let model = Self { t, root: t.dir.join("pictures"), neighbour: t.fresh_name(), bundle };
        model.create(&model.neighbour.clone()).ok();
        model
    }

    fn call(&self, words: &[&str]) -> Call {
        self.t.bare_call(&["--root".as_ref(), self.root.as_os_str()]).args(words)
    }

    fn create(&self, id: &str) -> Call {
        self.call(&["create", "--bundle", self.bundle.path.to_str().unwrap(), id])
    }

    /// Puts the picture there, asks, and deletes; what is wrong.
    fn check(&self, id: &str, picture: &Picture, about: &str) -> Vec<String> {
        let directory = self.root.join(id);
        restore(picture, &directory);
        let mut wrong = Vec::new();
        let mut expect = |ok: bool, what: String| {
            if !ok {
                wrong.push(format!("{about}: {what}"));
            }
        };
        let state = self.call(&["state", id]).output();
        let missing = state.stderr.contains("does not exist");
        let has_word = missing || state.stderr.contains("read the state of the container");
        expect(state.status.success() || (state.status.code() == Some(1) && has_word), format!("{state}"));
        let listed = self.call(&["list", "--quiet"]).output();
        let names = listed.lines();
        expect(listed.status.success() && names.contains(&&*self.neighbour), format!("{listed}"));
        expect(missing != names.contains(&id), format!("{listed}, and {state}"));
        let listed = self.call(&["list"]).output();
        expect(listed.status.success(), format!("{listed}"));
        if missing {
            // Gone is gone: the id is free, and what a crash has left is no matter.
            let created = self.create(id).output();
            expect(created.status.success(), format!("{created}"));
        }
        let deleted = self.call(&["delete", "--force", id]).output();
        expect(deleted.status.success(), format!("{deleted}"));
        expect(!directory.exists(), format!("the directory is left: {:?}", picture_of(&directory)));
        let _ = fs::remove_dir_all(&directory);
        wrong
    }

    fn end(self, wrong: &[String], pictures: usize) -> Verdict {
        assert!(wrong.is_empty(), "{} findings in {pictures} pictures:\n{}", wrong.len(), wrong.join("\n"));
        let neighbour = self.call(&["state", &self.neighbour]).ok().json();
        assert_eq!(neighbour["status"], "created", "the neighbour");
        let created = self.create(&self.t.fresh_name()).output();
        assert!(created.status.success(), "{created}");
        for id in self.call(&["list", "--quiet"]).ok().lines() {
            self.call(&["delete", "--force", id]).ok();
        }
        assert_nothing_left(self.t, "pictures of crashes");
        Ok(())
    }
}

/// As another boot finds it.
fn of_another_boot(picture: &Picture) -> Picture {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let other = b"11111111-2222-3333-4444-555555555555";
    let replace = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let boot = boot.trim().as_bytes();
        for at in 0..bytes.len().saturating_sub(boot.len()) {
            if &bytes[at..at + boot.len()] == boot {
                bytes[at..at + boot.len()].copy_from_slice(other);
            }
        }
        resealed(bytes)
    };
    let names = picture.as_ref()?.iter().map(|(name, node)| match node {
        Node::File(bytes) => (name.clone(), Node::File(replace(bytes))),
        other => (name.clone(), other.clone()),
    });
    Some(names.collect())
}

/// The ways in which data may be there that was not synced.
fn torn(bytes: &[u8]) -> Vec<Vec<u8>> {
    let length = bytes.len();
    vec![
        Vec::new(),
        bytes[..length / 2].to_vec(),
        bytes[..length.saturating_sub(1)].to_vec(),
        vec![0; length],
        [&bytes[..length / 2], &vec![0; length - length / 2]].concat(),
    ]
}

fn prefixes(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().hook("poststop", json!({"path": "/bin/true"}));
    let (id, mut all) = life(t, &b);
    assert!(all.len() > 12, "only {} states of the directory: {all:?}", all.len());
    // Data that was being written: in part, in each file that changes.
    for index in 1..all.len() {
        let (Some(before), Some(after)) = (&all[index - 1], &all[index]) else { continue };
        let mut partial = Vec::new();
        for (name, node) in after {
            let Node::File(bytes) = node else { continue };
            if before.get(name) != Some(node) {
                partial.extend(torn(bytes).into_iter().map(|bytes| (name.clone(), Node::File(bytes))));
            }
        }
        for (name, node) in partial {
            let mut picture = all[index].clone().unwrap();
            picture.insert(name, node);
            all.push(Some(picture));
        }
    }
    let all: BTreeSet<_> = all.into_iter().collect();
    let model = Model::new(t);
    let mut wrong = Vec::new();
    for (index, picture) in all.iter().enumerate() {
        wrong.extend(model.check(&id, picture, &format!("picture {index}, {}", names(picture))));
    }
    model.end(&wrong, all.len())
}

/// Names and lengths, for a message.
fn names(picture: &Picture) -> String {
    let Some(names) = picture else { return "no directory".to_owned() };
    let words = names.iter().map(|(name, node)| match node {
        Node::File(bytes) => format!("{} ({} bytes)", name.display(), bytes.len()),
        Node::Directory => format!("{}/", name.display()),
        Node::Socket => format!("{} (socket)", name.display()),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Of each state of the directory any of the files lost, or its data.
fn lost_files(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let (id, life) = life(t, &b);
    let mut all = BTreeSet::new();
    for picture in life.iter().flatten() {
        let mut grown = vec![BTreeMap::new()];
        for (name, node) in picture {
            let mut kinds = vec![None, Some(node.clone())];
            if let Node::File(bytes) = node {
                kinds.extend(torn(bytes).into_iter().map(|bytes| Some(Node::File(bytes))));
            }
            let mut next = Vec::new();
            for one in &grown {
                for kind in &kinds {
                    let mut one: BTreeMap<_, _> = one.clone();
                    if let Some(kind) = kind {
                        one.insert(name.clone(), kind.clone());
                    }
                    next.push(one);
                }
            }
            grown = next;
        }
        all.extend(grown);
    }
    let step = if thorough() { 1 } else { all.len().div_ceil(60) };
    let model = Model::new(t);
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (index, picture) in all.into_iter().enumerate().skip(step / 2).step_by(step) {
        let picture = of_another_boot(&Some(picture));
        tried += 1;
        wrong.extend(model.check(&id, &picture, &format!("picture {index}, {}", names(&picture))));
    }
    model.end(&wrong, tried)
}

/// An empty directory, one with half an intent: nothing was done yet.
fn before_intent(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays().write();
    for intent in [None, Some(""), Some("{\"record\": {\"sch")] {
        let id = t.fresh_id();
        let directory = t.root().join(&id);
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(t.root(), fs::Permissions::from_mode(0o700)).unwrap();
        if let Some(intent) = intent {
            fs::write(directory.join("intent.json"), intent).unwrap();
        }
        t.assert_missing(&id);
        assert!(!t.call(&["list", "--quiet"]).ok().lines().contains(&&*id));
        let create = || t.call(&["create", "--bundle", b.path.to_str().unwrap(), &id]);
        create().ok();
        let c = Container::open(t, &id);
        assert_eq!(c.start().status(), "running");
        create().fails().says("already exists");
        c.delete_force().ok();
    }
    assert_nothing_left(t, "creations over what a crash has left");
    Ok(())
}

/// Whatever instant it is looked at, the record is the one before the update or the one after.
fn old_or_new(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let c = t.start(&b);
    let resources = t.dir.join("resources");
    fs::write(&resources, json!({"devices": [{"allow": false, "access": "rwm"}]}).to_string()).unwrap();
    let record = t.root().join(&c.id).join("state.json");
    let before = fs::read(&record).unwrap();
    let mut seen = BTreeSet::new();
    let update = t.call(&["update", "--resources", resources.to_str().unwrap(), &c.id]);
    let status = watch(update, || {
        seen.insert(fs::read(&record).unwrap_or_default());
    });
    assert_eq!(status, 0);
    let after = fs::read(&record).unwrap();
    assert_ne!(before, after, "the update is not recorded");
    assert_eq!(seen, BTreeSet::from([before, after]), "a record that is neither");
    c.delete_force().ok();
    Ok(())
}

/// The intent names all that there can be: without the record, or with one that is torn, the container's processes and
/// cgroups are found by it.
fn running_container(t: &Test) -> Verdict {
    let b = t.bundle();
    b.stays();
    let lose: [fn(&Path); 4] = [
        |directory| fs::remove_file(directory.join("state.json")).unwrap(),
        |directory| fs::write(directory.join("state.json"), "").unwrap(),
        |directory| {
            let path = directory.join("state.json");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        |directory| {
            fs::rename(directory.join("state.json"), directory.join(".state.json.new")).unwrap();
        },
    ];
    for (number, lose) in lose.into_iter().enumerate() {
        for starts in [false, true] {
            let c = t.create(&b);
            if starts {
                c.start();
            }
            lose(&t.root().join(&c.id));
            let listed = t.call(&["list", "--quiet"]).ok();
            assert!(listed.lines().contains(&&*c.id), "loss {number}: it is not listed: {listed}");
            c.delete_force().ok();
            assert!(c.process.wait_exit(runtime_tests::wait::DEADLINE), "loss {number}: init is alive");
            assert_nothing_left(t, &format!("loss {number}, started: {starts}"));
        }
    }
    Ok(())
}
