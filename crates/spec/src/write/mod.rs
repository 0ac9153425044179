//! The typed configuration → `config.json`: the way back from [`crate::parse_config`].
//!
//! Runs anywhere; pure. What is written has the same meaning, not the same text: defaults are spelled out, what asks
//! nothing is left out. Reading it again gives the same value.

mod linux;
mod mount;
mod process;
mod resources;
mod seccomp;

use serde_json::{Map, Value};

use crate::config::{Config, Hook, HookPoint, IdMapping, Process, Resources};

impl Config {
    /// The configuration as a `config.json`.
    pub fn to_json(&self) -> String {
        write_config(self).to_string()
    }
}

impl Process {
    /// The process as a document of its own, as [`crate::parse_process`] reads it.
    pub fn to_json(&self) -> String {
        process::write_process(self).to_string()
    }
}

impl Resources {
    /// The resources as a document of their own, as [`crate::parse_resources`] reads them.
    pub fn to_json(&self) -> String {
        resources::write_resources(self).to_string()
    }
}

/// An object under construction.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// With a value that may be absent.
    fn with_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// With a list or an object, unless it is empty.
    fn with_filled(self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let empty = match &value {
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            _ => false,
        };
        if empty { self } else { self.with(key, value) }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

/// A list of strings.
fn strings<'a, T: std::ops::Deref<Target = str> + 'a>(items: impl IntoIterator<Item = &'a T>) -> Value {
    items.into_iter().map(|item| Value::from(&**item)).collect()
}

/// A list of what is not yet a value.
fn list<T>(items: &[T], write: impl Fn(&T) -> Value) -> Value {
    items.iter().map(write).collect()
}

fn write_config(config: &Config) -> Value {
    let root = Object::default().with("path", &*config.root.path).with("readonly", config.root.readonly);
    let hooks = HookPoint::ALL.into_iter().fold(Object::default(), |hooks, point| {
        hooks.with_filled(point.name(), list(config.hooks.at(point), write_hook))
    });
    let annotations: Map<String, Value> =
        config.annotations.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    Object::default()
        .with("ociVersion", &*config.oci_version)
        .with("root", root)
        .with_some("process", config.process.as_ref().map(process::write_process))
        .with_some("hostname", config.hostname.as_deref())
        .with_some("domainname", config.domainname.as_deref())
        .with_filled("mounts", list(&config.mounts, mount::write_mount))
        .with_filled("hooks", hooks)
        .with_filled("annotations", annotations)
        .with("linux", linux::write_linux(&config.linux))
        .into()
}

fn write_hook(hook: &Hook) -> Value {
    Object::default()
        .with("path", &**hook.path)
        .with_filled("args", strings(&hook.args))
        .with_filled("env", strings(&hook.env))
        .with_some("timeout", hook.timeout_s)
        .into()
}

fn write_mapping(mapping: &IdMapping) -> Value {
    Object::default()
        .with("containerID", mapping.container_id)
        .with("hostID", mapping.host_id)
        .with("size", mapping.size)
        .into()
}
