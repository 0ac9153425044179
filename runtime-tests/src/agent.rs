//! A seccomp agent: it takes listeners over its socket, and answers the calls that they tell of.

use std::collections::VecDeque;
use std::io::{IoSliceMut, PipeReader, PipeWriter, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::Value;

use crate::sys::{Answer, Notification, receive_notification, send_answer};
use crate::wait::{DEADLINE, readable, stretched};

#[derive(Default)]
struct Seen {
    documents: VecDeque<Value>,
    calls: VecDeque<i32>,
}

/// A thread that is an agent, until this goes.
pub struct Agent {
    /// Its socket.
    pub path: PathBuf,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    stop: PipeWriter,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Listens at `path`; `answer` is asked about each call, by its number.
    ///
    /// # Panics
    /// When the socket can't be made.
    #[must_use]
    pub fn listen(path: &Path, answer: impl Fn(&Notification) -> Answer + Send + 'static) -> Self {
        let listener = UnixListener::bind(path).expect("bind the agent's socket");
        let (stop_read, stop) = std::io::pipe().expect("make a pipe");
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let thread = {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || serve(&listener, &stop_read, &seen, &answer))
        };
        Self { path: path.to_owned(), seen, stop, thread: Some(thread) }
    }

    /// The next *container process state* that came with a listener.
    ///
    /// # Panics
    /// At the deadline.
    #[must_use]
    pub fn document(&self) -> Value {
        self.next("listener", |seen| seen.documents.pop_front())
    }

    /// The number of the next call that it was told of.
    ///
    /// # Panics
    /// At the deadline.
    #[must_use]
    pub fn call(&self) -> i32 {
        self.next("call", |seen| seen.calls.pop_front())
    }

    /// How many listeners came that [`Agent::document`] has not returned.
    ///
    /// # Panics
    /// When the agent's thread has panicked.
    #[must_use]
    pub fn waiting_documents(&self) -> usize {
        self.seen.0.lock().expect("the agent").documents.len()
    }

    fn next<T>(&self, what: &str, mut take: impl FnMut(&mut Seen) -> Option<T>) -> T {
        let (lock, changed) = &*self.seen;
        let mut taken = None;
        let seen = lock.lock().expect("the agent");
        drop(changed.wait_timeout_while(seen, stretched(DEADLINE), |seen| {
            taken = take(seen);
            taken.is_none()
        }));
        taken.unwrap_or_else(|| panic!("the agent saw no {what}"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.stop.write_all(b".");
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(
    listener: &UnixListener,
    stop: &PipeReader,
    seen: &(Mutex<Seen>, Condvar),
    answer: &dyn Fn(&Notification) -> Answer,
) {
    let mut listeners: Vec<OwnedFd> = Vec::new();
    loop {
        let all: Vec<BorrowedFd<'_>> =
            [stop.as_fd(), listener.as_fd()].into_iter().chain(listeners.iter().map(AsFd::as_fd)).collect();
        let mut polled: Vec<_> = all.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        if poll(&mut polled, None).is_err() {
            continue;
        }
        let events: Vec<_> = polled.iter().map(PollFd::revents).collect();
        if !events[0].is_empty() {
            return;
        }
        let note = |document: Option<Value>, call: Option<i32>| {
            let mut seen_now = seen.0.lock().expect("the agent");
            seen_now.documents.extend(document);
            seen_now.calls.extend(call);
            seen.1.notify_all();
        };
        // From the last: those before keep their places.
        for (index, events) in events.iter().enumerate().skip(2).rev() {
            if events.contains(PollFlags::IN) {
                // The process may have ended meanwhile.
                let Ok(notification) = receive_notification(listeners[index - 2].as_fd()) else { continue };
                note(None, Some(notification.call));
                let _ = send_answer(listeners[index - 2].as_fd(), &notification, answer(&notification));
            } else if events.intersects(PollFlags::HUP | PollFlags::ERR) {
                // No process has the filter any more.
                listeners.remove(index - 2);
            }
        }
        if !events[1].is_empty()
            && let Ok((stream, _)) = listener.accept()
            && let Some((document, descriptor)) = receive(&stream)
        {
            listeners.push(descriptor);
            note(Some(document), None);
        }
    }
}

/// One document, and its only descriptor. Runtimes may leave the connection open.
fn receive(stream: &UnixStream) -> Option<(Value, OwnedFd)> {
    let mut document = Vec::new();
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    loop {
        assert!(readable(stream, stretched(DEADLINE)), "no whole document from the runtime");
        let mut text = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(stream, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        document.extend_from_slice(&text[..received.bytes]);
        if let Ok(document) = serde_json::from_slice::<Value>(&document) {
            assert_eq!(descriptors.len(), 1, "descriptors with {document}");
            return Some((document, descriptors.remove(0)));
        }
        if received.bytes == 0 {
            return None;
        }
    }
}
