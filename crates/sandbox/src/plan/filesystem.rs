//! The options of a new instance of a file system, as fsconfig(2) takes them.
//!
//! Pure.

use init::wire::{Str, Strs};
use spec::Config;
use spec::config::{Mount, MountOption, attribute};

use crate::host::HostFacts;

/// File systems of the kernel's, in memory or views of it: an instance may be others' too, or gets its content from us after it
/// was made. There is no device that a writable instance could change: read-only is the mount alone.
const OF_THE_KERNEL: [&str; 25] = [
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "functionfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// Whether a file system is of the kernel's, without a device.
pub(super) fn is_of_the_kernel(fstype: &str) -> bool {
    OF_THE_KERNEL.contains(&fstype)
}

/// The longest value that fsconfig(2) takes; mount(2) takes a page of all options.
pub(crate) const LONGEST_VALUE: usize = 255;

/// `key`, `value` pairs for fsconfig.
pub(super) fn options<'a>(data: impl IntoIterator<Item = &'a MountOption>) -> Strs {
    let pairs = data.into_iter().flat_map(|option| {
        [Str::from(&*option.key), option.value.as_deref().map_or_else(Str::default, Str::from)]
    });
    Strs(pairs.collect())
}

/// `key`, `value` pairs for a new instance. `ro` is for the file system too, as mount(2) has it: a writable one replays its
/// journal and marks its device as used, and of a device that can't be written there is none.
pub(super) fn filesystem_options<'a>(
    fstype: &str,
    mount: &Mount,
    data: impl IntoIterator<Item = &'a MountOption>,
) -> Strs {
    let mut all = Strs::default();
    for option in data {
        let layers = option
            .value
            .as_deref()
            .filter(|value| fstype == "overlay" && &*option.key == "lowerdir" && value.len() > LONGEST_VALUE);
        match layers.and_then(split_layers) {
            Some(layers) => all.0.extend(layers.into_iter().flat_map(|layer| layer.option())),
            None => all.0.extend(options([option]).0),
        }
    }
    if mount.attributes.set & attribute::RDONLY != 0 && !is_of_the_kernel(fstype) {
        all.0.extend([Str::from("ro"), Str::default()]);
    }
    all
}

/// A directory of `lowerdir`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Layer {
    path: String,
    /// After `::`: its files are seen through the metadata of others alone.
    data: bool,
}

impl Layer {
    /// As an option of its own, whose value is the path as it is.
    fn option(self) -> [Str; 2] {
        [if self.data { "datadir+" } else { "lowerdir+" }.into(), Str::from(&*self.path)]
    }
}

/// The layers of `lowerdir`, as the kernel divides it (`ovl_parse_param_split_lowerdirs()`): at colons, of which `\\` takes the
/// meaning. `None`: the kernel would refuse it, and says why.
fn split_layers(value: &str) -> Option<Vec<Layer>> {
    let mut layers = vec![Layer::default()];
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        let last = layers.last_mut()?;
        match character {
            ':' => {
                let data = characters.next_if_eq(&':').is_some();
                if last.data && !data {
                    return None;
                }
                layers.push(Layer { path: String::new(), data });
            }
            '\\' => last.path.push(characters.next()?),
            other => last.path.push(other),
        }
    }
    layers.iter().all(|layer| !layer.path.is_empty()).then_some(layers)
}

/// `/linux/mountLabel` as an option of a tmpfs of ours, where there is SELinux.
pub(super) fn own_label(config: &Config, host: &HostFacts) -> Option<[Str; 2]> {
    let label = config.linux.mount_label.as_ref().filter(|_| host.selinux)?;
    Some([Str::from("context"), Str::from(&**label)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_divided_as_by_the_kernel() {
        let layers = |value| {
            let pair = |layer: Layer| (layer.path, layer.data);
            split_layers(value).map(|all| all.into_iter().map(pair).collect::<Vec<_>>())
        };
        let pairs =
            |all: &[(&str, bool)]| Some(all.iter().map(|(path, data)| ((*path).to_owned(), *data)).collect());
        assert_eq!(layers("/a:/b"), pairs(&[("/a", false), ("/b", false)]));
        assert_eq!(layers(r"/a\:b:/c\\d\,e"), pairs(&[("/a:b", false), (r"/c\d,e", false)]));
        assert_eq!(layers("/a::/b::/c"), pairs(&[("/a", false), ("/b", true), ("/c", true)]));
        for refused in ["", ":/a", "/a:", "/a:::/b", "/a::/b:/c", "/a\\"] {
            assert_eq!(layers(refused), None, "{refused}");
        }
    }
}
