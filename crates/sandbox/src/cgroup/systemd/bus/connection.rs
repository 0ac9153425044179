//! The conversation with `org.freedesktop.systemd1`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::Poll;
use std::time::Instant;

use zbus::export::futures_core::Stream as _;
use zbus::{
    Connection, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Variant, connection, message,
};

use super::super::super::error::CgroupError;
use super::super::super::record::UnitRecord;
use super::super::property::{Property, Value};
use super::super::{OWN_SLICES, Session, UnitPlan};
use crate::errno::reason;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SCOPE: &str = "org.freedesktop.systemd1.Scope";

/// The bus itself: its name, and that of its interface.
const BUS: &str = "org.freedesktop.DBus";
const BUS_OBJECT: &str = "/org/freedesktop/DBus";

/// The inode of the host's first pid namespace (`PID_NS_INIT_INO`, linux/nsfs.h).
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;

/// How often a start is tried whose name a unit has that systemd has not unloaded yet: between two tries it answers twice.
const ATTEMPTS: usize = 16;

/// Why it did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    Bus(zbus::Error),
    Said(String),
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        Self::Bus(error)
    }
}

impl Failure {
    fn reason(&self) -> String {
        match self {
            Self::Bus(zbus::Error::MethodError(name, text, _)) => {
                text.as_ref().map_or_else(|| name.to_string(), |text| text.trim_end_matches('.').to_owned())
            }
            Self::Bus(error) => error.to_string(),
            Self::Said(text) => text.clone(),
        }
    }

    /// Whether a unit is there already.
    fn is_taken(&self) -> bool {
        self.is("org.freedesktop.systemd1.UnitExists") || self.is("org.freedesktop.DBus.Error.FileExists")
    }

    /// Whether the reply was an error of this name.
    fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Bus(zbus::Error::MethodError(name, _, _)) if name.as_str() == wanted)
    }
}

type Said<T> = Result<T, Failure>;

/// Runs an operation to its end or to the deadline, on this thread.
pub(super) fn run<T>(
    call: &'static str,
    record: &UnitRecord,
    deadline: Instant,
    operation: impl Future<Output = Said<T>>,
) -> Result<T, CgroupError> {
    let error = |reason: String| CgroupError::Systemd { call, unit: record.name.clone(), reason };
    let result = zbus::block_on(until(deadline, operation)).map_err(error)?;
    result.map_err(|failure| error(failure.reason()))
}

/// The future's output, or why there is none, such as the deadline. A thread wakes the caller then; it ends with the future.
async fn until<F: Future>(deadline: Instant, future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    let (alive, gone) = channel::<()>();
    let mut gone = Some(gone);
    let output = std::future::poll_fn(move |context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        if Instant::now() >= deadline {
            return Poll::Ready(Err("no answer in time".to_owned()));
        }
        if let Some(gone) = gone.take() {
            let waker = context.waker().clone();
            let wake = move || {
                let left = deadline.saturating_duration_since(Instant::now());
                if gone.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                    waker.wake();
                }
            };
            if let Err(error) = std::thread::Builder::new().spawn(wake) {
                let reason = reason(&error);
                return Poll::Ready(Err(format!("a thread that ends the wait can't be started: {reason}")));
            }
        }
        Poll::Pending
    })
    .await;
    drop(alive);
    output
}

struct Systemd(Connection);

impl Systemd {
    async fn connect(session: Session) -> Said<Self> {
        let builder = match session {
            Session::System => connection::Builder::system(),
            // In a user namespace the kernel translates the uid that the bus sees; ours must be that one.
            Session::User(uid) => connection::Builder::session().user_id(uid),
        };
        let which = if session == Session::System { "system" } else { "user" };
        let connection = builder.build().await;
        let said = |error| Failure::Said(format!("the {which} bus can't be reached: {error}"));
        Ok(Self(connection.map_err(said)?))
    }

    async fn call<B>(&self, object: &str, interface: &str, method: &str, body: &B) -> Said<message::Message>
    where
        B: zbus::export::serde::Serialize + zbus::DynamicType,
    {
        Ok(self.0.call_method(Some(SYSTEMD), object, Some(interface), method, body).await?)
    }

    async fn manager<B>(&self, method: &str, body: &B) -> Said<message::Message>
    where
        B: zbus::export::serde::Serialize + zbus::DynamicType,
    {
        self.call(OBJECT, MANAGER, method, body).await
    }

    /// That a number is the same process's for systemd as for us: from another pid namespace it would be told of a process
    /// of somebody else's.
    async fn check_pids_are_shared(&self) -> Said<()> {
        let own = rustix::fs::stat("/proc/self/ns/pid");
        if own.is_ok_and(|status| status.st_ino == INITIAL_PID_NAMESPACE) {
            return Ok(());
        }
        // It may be systemd's as well: that of a container which boots one.
        let name = self.0.unique_name().map(ToString::to_string).unwrap_or_default();
        let reply = self
            .0
            .call_method(Some(BUS), BUS_OBJECT, Some(BUS), "GetConnectionUnixProcessID", &(name,))
            .await;
        let number: Option<u32> = match reply {
            Ok(reply) => Some(reply.body().deserialize()?),
            // It can't see this process at all.
            Err(zbus::Error::MethodError(..)) => None,
            Err(error) => return Err(error.into()),
        };
        if number == Some(std::process::id()) {
            return Ok(());
        }
        Err(Failure::Said(
            "systemd is in another pid namespace, where the container's processes have other numbers"
                .to_owned(),
        ))
    }

    /// A text property of an object.
    async fn text(&self, object: &OwnedObjectPath, interface: &str, name: &str) -> Said<String> {
        let reply =
            self.call(object.as_str(), "org.freedesktop.DBus.Properties", "Get", &(interface, name)).await?;
        let value: OwnedVariant = reply.body().deserialize()?;
        String::try_from(value).map_err(|_| Failure::Said(format!("{name} is not a text")))
    }

    /// The properties that this systemd takes. What it doesn't know is in the cgroup's files all the same.
    async fn known<'p>(&self, properties: &'p [Property]) -> Said<Vec<&'p Property>> {
        let mut known: Vec<&Property> = properties.iter().collect();
        if known.iter().any(|property| needed_version(property).is_some()) {
            let version = self.version().await?;
            known.retain(|property| needed_version(property).is_none_or(|needed| needed <= version));
        }
        Ok(known)
    }

    /// `257` of `257.9-1`.
    async fn version(&self) -> Said<u32> {
        let manager =
            OwnedObjectPath::try_from(OBJECT).map_err(|error| Failure::Said(format!("{OBJECT}: {error}")))?;
        let text = self.text(&manager, MANAGER, "Version").await?;
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().map_err(|_| Failure::Said(format!("{text} is not a version")))
    }

    /// The object of a unit that is loaded.
    async fn unit(&self, name: &str) -> Said<Option<OwnedObjectPath>> {
        match self.manager("GetUnit", &(name,)).await {
            Ok(reply) => Ok(Some(reply.body().deserialize()?)),
            Err(failure) if failure.is("org.freedesktop.systemd1.NoSuchUnit") => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The object of the recorded unit, if what is loaded under its name is that one.
    async fn own_unit(&self, record: &UnitRecord) -> Said<Own> {
        let Some(object) = self.unit(&record.name).await? else { return Ok(Own::Gone) };
        // It can go between the two calls.
        match self.text(&object, UNIT, "Description").await {
            Ok(description) if description == record.description => Ok(Own::Loaded),
            // The name alone: what is left of a unit that is being unloaded.
            Ok(description) if description == record.name => Ok(Own::Gone),
            Ok(_) => Ok(Own::Foreign),
            Err(failure) if failure.is("org.freedesktop.DBus.Error.UnknownObject") => Ok(Own::Gone),
            Err(failure) => Err(failure),
        }
    }

    /// Has systemd unload a unit that has ended; false where it has not.
    async fn give_up_ended(&self, name: &str) -> Said<bool> {
        let Some(object) = self.unit(name).await? else { return Ok(true) };
        match self.text(&object, UNIT, "ActiveState").await.as_deref() {
            Ok("inactive") => Ok(true),
            Ok("failed") => {
                // It may be gone by now.
                let _ = self.manager("ResetFailedUnit", &(name,)).await;
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(failure) if failure.is("org.freedesktop.DBus.Error.UnknownObject") => Ok(true),
            Err(_) => Ok(false),
        }
    }

    /// The ends of jobs, from now on.
    async fn ends_of_jobs(&self) -> Said<MessageStream> {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender(SYSTEMD)
            .path(OBJECT)
            .interface(MANAGER)
            .member("JobRemoved")
            .build()?;
        Ok(MessageStream::for_match_rule(rule, &self.0, None).await?)
    }

    /// Which of the slices are not there.
    async fn missing<'s>(&self, slices: &'s [String]) -> Said<Vec<&'s str>> {
        let mut missing = Vec::new();
        for slice in slices.iter().filter(|slice| !OWN_SLICES.contains(&slice.as_str())) {
            if self.unit(slice).await?.is_none() {
                missing.push(&**slice);
            }
        }
        Ok(missing)
    }

    /// `StartTransientUnit`; the slices are made with it, so that they go with the last unit in them.
    async fn start(
        &self,
        unit: &str,
        properties: &[(&str, Variant<'_>)],
        slices: &[&str],
    ) -> Said<OwnedObjectPath> {
        let unneeded = || vec![("StopWhenUnneeded", Variant::from(true))];
        let slices: Vec<_> = slices.iter().map(|slice| (*slice, unneeded())).collect();
        let reply = self.manager("StartTransientUnit", &(unit, "fail", properties, slices)).await?;
        Ok(reply.body().deserialize()?)
    }
}

enum Own {
    Loaded,
    Gone,
    Foreign,
}

async fn wait_end(jobs: &mut MessageStream, job: &OwnedObjectPath) -> Said<()> {
    loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut *jobs).poll_next(context)).await;
        let message = next.ok_or_else(|| Failure::Said("the bus has closed the connection".to_owned()))??;
        let body = message.body();
        let (_, removed, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize()?;
        if removed != *job {
            continue;
        }
        return match &*result {
            "done" => Ok(()),
            result => Err(Failure::Said(format!("the job's result is {result}"))),
        };
    }
}

pub(super) async fn start(plan: &UnitPlan, record: &UnitRecord, pid: i32) -> Said<String> {
    let systemd = Systemd::connect(plan.session).await?;
    systemd.check_pids_are_shared().await?;
    let missing = systemd.missing(&plan.slices).await?;
    let mut jobs = systemd.ends_of_jobs().await?;
    let mut properties = vec![
        ("Description", Variant::from(record.description.as_str())),
        ("Slice", Variant::from(plan.slice.as_str())),
        ("PIDs", Variant::from(vec![pid.cast_unsigned()])),
        ("Delegate", Variant::from(true)),
        ("DefaultDependencies", Variant::from(false)),
        // A scope whose processes were killed for want of memory is failed: it goes too.
        ("CollectMode", Variant::from("inactive-or-failed")),
    ];
    let known = systemd.known(&plan.properties).await?;
    properties.extend(known.into_iter().map(|property| (&*property.name, variant(&property.value))));
    let mut slices = &*missing;
    let mut attempts = 1..ATTEMPTS;
    let job = loop {
        match systemd.start(&record.name, &properties, slices).await {
            // Another was faster, or a slice has a file of its own: the start pulls it in.
            Err(failure) if failure.is_taken() && !slices.is_empty() => slices = &[],
            // Or the name is that of a scope that has ended, and is about to be unloaded.
            Err(failure)
                if failure.is_taken()
                    && attempts.next().is_some()
                    && systemd.give_up_ended(&record.name).await? => {}
            job => break job?,
        }
    };
    wait_end(&mut jobs, &job).await?;
    let unit = systemd.unit(&record.name).await?;
    let unit = unit.ok_or_else(|| Failure::Said("it ended at once".to_owned()))?;
    systemd.text(&unit, SCOPE, "ControlGroup").await
}

pub(super) async fn set(record: &UnitRecord, properties: &[Property]) -> Said<()> {
    let systemd = Systemd::connect(record.session).await?;
    let known = systemd.known(properties).await?;
    let properties: Vec<_> =
        known.into_iter().map(|property| (&*property.name, variant(&property.value))).collect();
    // For as long as it runs.
    const RUNTIME: bool = true;
    systemd.manager("SetUnitProperties", &(&*record.name, RUNTIME, properties)).await.map(drop)
}

pub(super) async fn attach(record: &UnitRecord, below: &str, pid: i32) -> Said<()> {
    let systemd = Systemd::connect(record.session).await?;
    systemd.check_pids_are_shared().await?;
    let pids = [pid.cast_unsigned()];
    systemd.manager("AttachProcessesToUnit", &(&*record.name, below, &pids[..])).await.map(drop)
}

pub(super) async fn stop(record: &UnitRecord) -> Said<bool> {
    let systemd = Systemd::connect(record.session).await?;
    match systemd.own_unit(record).await? {
        Own::Foreign => return Ok(false),
        Own::Gone => return Ok(true),
        Own::Loaded => {}
    }
    let mut jobs = systemd.ends_of_jobs().await?;
    match systemd.manager("StopUnit", &(&*record.name, "replace")).await {
        Ok(reply) => {
            let job: OwnedObjectPath = reply.body().deserialize()?;
            wait_end(&mut jobs, &job).await?;
        }
        Err(failure) if failure.is("org.freedesktop.systemd1.NoSuchUnit") => return Ok(true),
        Err(failure) => return Err(failure),
    }
    // Most often it is unloaded by now.
    let _ = systemd.manager("ResetFailedUnit", &(&*record.name,)).await;
    Ok(true)
}

pub(super) async fn is_foreign(record: &UnitRecord) -> Said<bool> {
    let systemd = Systemd::connect(record.session).await?;
    Ok(matches!(systemd.own_unit(record).await?, Own::Foreign))
}

/// The first version of systemd that takes a property, where that is not older than all that are in use. What an annotation
/// asks for is for systemd to refuse.
fn needed_version(property: &Property) -> Option<u32> {
    match (&*property.name, &property.value) {
        _ if property.pointer.starts_with("/annotations/") => None,
        ("CPUWeight", Value::U64(0)) => Some(252),
        ("OOMPolicy", _) => Some(253),
        _ => None,
    }
}

fn variant(value: &Value) -> Variant<'_> {
    match value {
        Value::Bool(value) => Variant::from(*value),
        Value::U8(value) => Variant::from(*value),
        Value::I16(value) => Variant::from(*value),
        Value::U16(value) => Variant::from(*value),
        Value::I32(value) => Variant::from(*value),
        Value::U32(value) => Variant::from(*value),
        Value::I64(value) => Variant::from(*value),
        Value::U64(value) => Variant::from(*value),
        Value::Text(value) => Variant::from(value.as_str()),
        Value::Bytes(value) => Variant::from(value.clone()),
        Value::U32s(value) => Variant::from(value.clone()),
        Value::Texts(value) => Variant::from(value.clone()),
        Value::Pairs(value) => Variant::from(value.clone()),
    }
}
