//! Ids and paths: what a type promises of what it holds.

use sandbox::ContainerId;
use sandbox::cgroup::CgroupPath;
use spec::{AbsolutePath, Text};

use super::config::id;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "web-1",
        "..",
        ".",
        "-a",
        "a/b",
        "a\0b",
        "/a/../b",
        "//",
        "/a/./b/",
        "a\nb",
        "+._-",
        "/sys/fs/cgroup",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(id) = ContainerId::new(&text) {
        assert_eq!(&*id, &*text);
        assert!((1..=1024).contains(&id.len()) && !id.starts_with('-') && !matches!(&*id, "." | ".."));
        assert!(!id.contains(['/', '\0', '\n', ':', '\\']) && id.is_ascii());
        assert_eq!(std::path::Path::new(&*id).components().count(), 1);
    }
    let held = Text::new(&*text);
    assert_eq!(held.is_none(), text.contains('\0'));
    let Some(held) = held else { return };
    assert_eq!(held.to_c_string().as_bytes(), text.as_bytes());
    if let Some(path) = AbsolutePath::new(held.clone()) {
        assert!(path.as_text().starts_with('/'));
    }
    match CgroupPath::new(Some(&held), &id()) {
        Ok(CgroupPath::Absolute(components) | CgroupPath::Relative(components)) => {
            assert!(!components.is_empty());
            for component in components {
                assert!(!matches!(component.as_str(), "" | "." | ".."));
                assert!(!component.contains(['/', '\n', '\0']) && component.len() <= 255);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
