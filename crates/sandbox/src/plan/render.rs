//! A plan as text, one line a step, and as JSON.
//!
//! Pure.

use std::fmt;

use init::Step;
use init::wire::{NamespaceFlags, Value};
use serde_json::{Map, json};

use super::{MapWriter, MappedTree, Plan, PlannedStep, ResctrlPlan, TreeIds};
use init::wire::Field as _;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cgroup) = &self.cgroup {
            write!(f, "{cgroup}")?;
        }
        for tree in &self.trees {
            writeln!(f, "{tree}")?;
        }
        if let Some(resctrl) = &self.resctrl {
            let ResctrlPlan { class, schemata, monitoring, .. } = resctrl;
            write!(f, "resctrl class={class:?} schemata={schemata:?}")?;
            if let Some(group) = monitoring {
                write!(f, " monitoring={group:?}")?;
            }
            f.write_str("  # /linux/intelRdt\n")?;
        }
        if self.network_beside {
            writeln!(f, "make-network loopback-up  # /linux/namespaces")?;
        }
        let flags = match NamespaceFlags(self.clone_flags).value() {
            Value::Text(kinds) => kinds,
            _ => "none".to_owned(),
        };
        writeln!(f, "clone new={flags}")?;
        for join in &self.joins {
            writeln!(
                f,
                "open-namespace kind={} path={:?}  # /linux/namespaces/{}",
                join.kind.name(),
                join.path,
                join.index
            )?;
        }
        if let Some(maps) = &self.id_maps {
            write!(f, "write-id-maps uid={:?} gid={:?}", maps.uid, maps.gid)?;
            for (name, writer) in [("uid", maps.uid_writer), ("gid", maps.gid_writer)] {
                match writer {
                    MapWriter::Runtime => {}
                    MapWriter::OwnId if name == "gid" => f.write_str(" deny-setgroups")?,
                    MapWriter::OwnId => {}
                    MapWriter::Helper => write!(f, " by=new{name}map")?,
                }
            }
            f.write_str("  # /linux/uidMappings\n")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.step.name())?;
        for (name, value) in self.step.fields() {
            match value {
                Value::None => {}
                Value::Flag(false) => {}
                Value::Number(0) if name == "slot" && matches!(self.step, Step::Bind { .. }) => {}
                Value::Flag(true) => write!(f, " {name}")?,
                Value::Number(number) if name == "mode" || name == "mask" => {
                    write!(f, " {name}={number:04o}")?
                }
                Value::Number(number) => write!(f, " {name}={number}")?,
                Value::Text(text) => write!(f, " {name}={}", quoted(&text))?,
                Value::List(list) if list.is_empty() && name != "groups" => {}
                Value::List(list) => {
                    let items: Vec<_> = list.iter().map(|item| quoted(item)).collect();
                    write!(f, " {name}=[{}]", items.join(" "))?;
                }
            }
        }
        if self.pointer.is_empty() { Ok(()) } else { write!(f, "  # {}", self.pointer) }
    }
}

/// In quotes, where it would not be one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '#' | '[' | ']');
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

impl Plan {
    /// The plan as JSON: an object with `clone`, `networkBeside`, `cgroup`, `joins`, `idMaps`, `trees`, `netDevices`, `resctrl`, `steps` and `warnings`.
    pub fn to_json(&self) -> serde_json::Value {
        let steps: Vec<_> = self.steps.iter().map(step_to_json).collect();
        let joins: Vec<_> = self
            .joins
            .iter()
            .map(|join| json!({"kind": join.kind.name(), "path": join.path, "pointer": format!("/linux/namespaces/{}", join.index)}))
            .collect();
        let trees: Vec<_> = self.trees.iter().map(tree_to_json).collect();
        let devices: Vec<_> = self
            .net_devices
            .iter()
            .map(|it| json!({"pointer": it.pointer, "hostName": it.host_name, "name": it.name}))
            .collect();
        let warnings: Vec<_> = self
            .warnings
            .iter()
            .map(|warning| json!({"pointer": warning.pointer, "message": warning.message}))
            .collect();
        json!({
            "cgroup": self.cgroup,
            "clone": value_to_json(NamespaceFlags(self.clone_flags).value()),
            "networkBeside": self.network_beside,
            "joins": joins,
            "idMaps": self.id_maps.as_ref().map(|maps| json!({"uid": maps.uid, "gid": maps.gid})),
            "trees": trees,
            "netDevices": devices,
            "resctrl": self.resctrl,
            "steps": steps,
            "warnings": warnings,
        })
    }
}

impl fmt::Display for MappedTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clone-tree source={:?}", self.source)?;
        let flags =
            [("inside", self.inside), ("recursive", self.recursive), ("map-recursive", self.map_recursive)];
        for (name, set) in flags {
            if set {
                write!(f, " {name}")?;
            }
        }
        match &self.ids {
            TreeIds::Maps(maps) => write!(f, " uid={:?} gid={:?}", maps.uid, maps.gid)?,
            TreeIds::Joined(_) => f.write_str(" ids=joined")?,
        }
        write!(f, "  # {}", self.pointer)
    }
}

fn tree_to_json(tree: &MappedTree) -> serde_json::Value {
    let ids = match &tree.ids {
        TreeIds::Maps(maps) => json!({"uid": maps.uid, "gid": maps.gid}),
        TreeIds::Joined(_) => json!("joined"),
    };
    json!({
        "pointer": tree.pointer,
        "source": tree.source,
        "inside": tree.inside,
        "recursive": tree.recursive,
        "mapRecursive": tree.map_recursive,
        "ids": ids,
    })
}

fn step_to_json(planned: &PlannedStep) -> serde_json::Value {
    let mut object = Map::new();
    object.insert("step".into(), planned.step.name().into());
    object.insert("pointer".into(), planned.pointer.as_ref().into());
    for (name, value) in planned.step.fields() {
        object.insert(name.into(), value_to_json(value));
    }
    object.into()
}

fn value_to_json(value: Value) -> serde_json::Value {
    match value {
        Value::None => serde_json::Value::Null,
        Value::Flag(flag) => flag.into(),
        Value::Number(number) => number.into(),
        Value::Text(text) => text.into(),
        Value::List(list) => list.into(),
    }
}
