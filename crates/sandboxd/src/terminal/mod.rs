//! The terminal of a container that runs in the foreground: its master here, connected to our own stdin and stdout.
//!
//! The master is kept until the process has ended: that no process has the terminal open may last for a moment only (a
//! daemon closes its streams and opens `/dev/tty` later), and its end would hang up on all that are attached to it.

mod buffer;
mod host;
mod peer;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr, tcsetwinsize};
use sandbox::Terminal;

use crate::error::{Context as _, Result};
use buffer::Buffer;
use host::HostTerminal;
pub(crate) use host::{host_size, newlines};
use peer::{Changes, Peer};

/// After how long is looked again at what tells nobody that it has changed.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// Copies both ways between our stdin and stdout and a container's terminal.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Not blocking.
    master: OwnedFd,
    /// The container's side.
    peer: Peer,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    host: Option<HostTerminal>,
    to_container: Buffer,
    from_container: Buffer,
    last_input: u8,
}

impl Relay {
    /// Gives a container's terminal our terminal's size, and makes ours raw.
    ///
    /// # Errors
    /// Of the calls.
    pub(crate) fn serve(terminal: Terminal) -> Result<Self> {
        let context = || "terminal".to_owned();
        let host = HostTerminal::open().context(context)?;
        let stdin = io::stdin().as_fd().try_clone_to_owned().context(context)?;
        let stdout = io::stdout().as_fd().try_clone_to_owned().context(context)?;
        let relay = Self::new(terminal.into(), Some(stdin), stdout, host)?;
        relay.resize();
        Ok(relay)
    }

    fn new(
        master: OwnedFd,
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        host: Option<HostTerminal>,
    ) -> Result<Self> {
        let context = || "terminal".to_owned();
        let flags = rustix::fs::fcntl_getfl(&master).context(context)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK).context(context)?;
        Ok(Self {
            master,
            peer: Peer::Open,
            stdin,
            stdout: Some(stdout),
            host,
            to_container: Buffer::new(),
            from_container: Buffer::new(),
            last_input: b'\n',
        })
    }

    /// Gives the container's terminal the size of ours, if we have one.
    pub(crate) fn resize(&self) {
        let Some(host) = &self.host else { return };
        // A size that can't be set is no reason to end the container.
        let size = host.size().ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
        let _ = size.map(|size| tcsetwinsize(&self.master, size));
    }

    /// We had been stopped: whose our terminal's input is, and its modes, may be others.
    pub(crate) fn continued(&mut self) {
        if let Some(host) = &mut self.host {
            host.continued();
        }
    }

    /// What is to be waited for.
    pub(crate) fn interests(&self) -> Vec<PollFd<'_>> {
        let mut interests = Vec::with_capacity(3);
        match &self.peer {
            Peer::Open => {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, self.from_container.is_empty());
                flags.set(PollFlags::OUT, !self.to_container.is_empty());
                // A master that hung up would wake us although nothing can be done before stdout takes its bytes.
                if !flags.is_empty() {
                    interests.push(PollFd::new(&self.master, flags));
                }
            }
            Peer::Closed(changes) => {
                interests.extend(changes.iter().map(|changes| PollFd::new(changes, PollFlags::IN)));
            }
        }
        if let Some(stdin) = self.stdin.as_ref().filter(|_| self.to_container.is_empty() && self.may_read()) {
            interests.push(PollFd::new(stdin, PollFlags::IN));
        }
        if let Some(stdout) = self.stdout.as_ref().filter(|_| !self.from_container.is_empty()) {
            interests.push(PollFd::new(stdout, PollFlags::OUT));
        }
        interests
    }

    /// After how long [`Self::copy`] is to be called although nothing happened.
    pub(crate) fn patience(&self) -> Option<&'static Timespec> {
        let in_background = self.stdin.is_some() && !self.may_read();
        (in_background || matches!(self.peer, Peer::Closed(None))).then_some(&LOOK_AGAIN)
    }

    /// In the background a terminal's input is not ours to read.
    fn may_read(&self) -> bool {
        self.host.as_ref().is_none_or(HostTerminal::may_read)
    }

    /// Copies what can be copied without waiting.
    pub(crate) fn copy(&mut self) {
        if let Some(host) = self.host.as_mut().filter(|host| !host.may_read()) {
            host.look_again();
        }
        self.copy_from_container();
        self.copy_to_container();
    }

    /// Copies what the container has written before it ended.
    pub(crate) fn drain(&mut self) {
        loop {
            if self.from_container.is_empty() {
                self.read_master();
            }
            if self.from_container.is_empty() {
                return;
            }
            if let Some(stdout) = &self.stdout {
                // An error shows when it is written to.
                let _ = rustix::event::poll(&mut [PollFd::new(stdout, PollFlags::OUT)], None);
            }
            self.write_stdout();
        }
    }

    fn copy_from_container(&mut self) {
        if self.from_container.is_empty() {
            self.read_master();
        }
        if !self.from_container.is_empty()
            && self.stdout.as_ref().is_none_or(|out| is_ready(out, PollFlags::OUT))
        {
            self.write_stdout();
        }
    }

    fn copy_to_container(&mut self) {
        let may_read = self.may_read();
        if let Some(stdin) = self.stdin.as_ref().filter(|_| self.to_container.is_empty() && may_read)
            && is_ready(stdin, PollFlags::IN)
        {
            match self.to_container.fill(stdin.as_fd()) {
                // What the kernel says in the background; and what it says when our terminal is gone.
                Err(Errno::IO) if self.host.as_mut().is_some_and(HostTerminal::is_not_now) => {}
                Ok(0) | Err(Errno::IO) => self.end_input(),
                Ok(_) => self.last_input = self.to_container.last(),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.stdin = None,
            }
        }
        if !self.to_container.is_empty() {
            match self.to_container.flush(self.master.as_fd()) {
                // EIO: no process has the terminal open now.
                Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::IO) => {}
                Err(_) => self.to_container.clear(),
            }
        }
    }

    /// Our input is at its end. A terminal's can't be closed: it is told with the character that means it, twice where
    /// the line before it is not complete (the first one ends that line). Where it reads no lines no character does, and
    /// it is told nothing.
    fn end_input(&mut self) {
        self.stdin = None;
        let Ok(modes) = tcgetattr(&self.master) else { return };
        let mark = modes.special_codes[SpecialCodeIndex::VEOF];
        // 0: there is none.
        if modes.local_modes.contains(LocalModes::ICANON) && mark != 0 {
            let times = if self.last_input == b'\n' { 1 } else { 2 };
            self.to_container.put(&[mark, mark][..times]);
        }
    }

    fn read_master(&mut self) {
        if let Peer::Closed(Some(changes)) = &self.peer {
            changes.consume();
        }
        match self.from_container.fill(self.master.as_fd()) {
            Ok(1..) | Err(Errno::AGAIN) => self.peer = Peer::Open,
            Err(Errno::INTR) => {}
            // EIO: no process has the terminal open now. One may have opened it before its changes were told.
            Ok(0) | Err(_) if matches!(self.peer, Peer::Open) => {
                self.peer = Peer::Closed(Changes::of(&self.master).ok());
                self.read_master();
            }
            Ok(0) | Err(_) => {}
        }
    }

    fn write_stdout(&mut self) {
        match self.stdout.as_ref().map(|stdout| self.from_container.flush(stdout.as_fd())) {
            Some(Ok(()) | Err(Errno::AGAIN | Errno::INTR)) => {}
            // Nobody reads it: the container must not wait for that.
            Some(Err(_)) | None => {
                self.stdout = None;
                self.from_container.clear();
            }
        }
    }
}

/// Whether reading or writing would not wait now (or would end at once).
fn is_ready(descriptor: impl AsFd, flags: PollFlags) -> bool {
    let mut interest = [PollFd::new(&descriptor, flags)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut interest, Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write as _, pipe};

    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{OptionalActions, tcsetattr};

    use super::*;

    /// Master and the terminal itself.
    fn terminal() -> (OwnedFd, File) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let peer = ioctl_tiocgptpeer(&master, flags).unwrap();
        (master, peer.into())
    }

    /// Copies until nobody has the terminal open and all it said has been copied.
    fn copy_to_the_end(relay: &mut Relay) {
        while matches!(relay.peer, Peer::Open) || !relay.from_container.is_empty() {
            let mut interests = relay.interests();
            rustix::event::poll(&mut interests, None).unwrap();
            drop(interests);
            relay.copy();
        }
    }

    #[test]
    fn output_is_copied_completely() {
        let (master, mut terminal) = terminal();
        let (mut output, stdout) = pipe().unwrap();
        let mut relay = Relay::new(master, None, stdout.into(), None).unwrap();
        let expected: Vec<u8> = (0..200_000_u32).map(|number| b'a' + (number % 26) as u8).collect();
        let read = std::thread::spawn(move || {
            let mut read = Vec::new();
            output.read_to_end(&mut read).unwrap();
            read
        });
        let written = expected.clone();
        let write = std::thread::spawn(move || terminal.write_all(&written).unwrap());
        copy_to_the_end(&mut relay);
        drop(relay);
        write.join().unwrap();
        assert_eq!(read.join().unwrap(), expected);
    }

    #[test]
    fn output_before_the_end_is_drained() {
        let (master, mut terminal) = terminal();
        let (mut output, stdout) = pipe().unwrap();
        let mut relay = Relay::new(master, None, stdout.into(), None).unwrap();
        terminal.write_all(b"last words\n").unwrap();
        // Held open by somebody, so that there is no end of file.
        relay.drain();
        assert!(matches!(relay.peer, Peer::Open));
        drop(relay);
        let mut read = String::new();
        output.read_to_string(&mut read).unwrap();
        assert_eq!(read, "last words\r\n");
    }

    fn reopen(relay: &Relay) -> File {
        ioctl_tiocgptpeer(&relay.master, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap().into()
    }

    /// Copies when there is something to copy, until `text` has come out.
    fn copy_until(relay: &mut Relay, output: &mut (impl Read + AsFd), text: &str) {
        let mut read = String::new();
        while read.len() < text.len() {
            rustix::event::poll(&mut relay.interests(), None).unwrap();
            relay.copy();
            if is_ready(&*output, PollFlags::IN) {
                let mut bytes = [0; 64];
                let length = output.read(&mut bytes).unwrap();
                read.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
            }
        }
        assert_eq!(read, text);
    }

    #[test]
    fn terminal_that_nobody_has_open_is_kept() {
        let (master, mut terminal) = terminal();
        let (mut output, stdout) = pipe().unwrap();
        let (input, mut typed) = pipe().unwrap();
        let mut relay = Relay::new(master, Some(input.into()), stdout.into(), None).unwrap();
        terminal.write_all(b"one").unwrap();
        copy_until(&mut relay, &mut output, "one");
        for text in ["two", "three"] {
            drop(terminal);
            copy_to_the_end(&mut relay);
            // It does not wake us.
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            assert_eq!(rustix::event::poll(&mut relay.interests(), Some(&now)).unwrap(), 0);
            terminal = reopen(&relay);
            terminal.write_all(text.as_bytes()).unwrap();
            copy_until(&mut relay, &mut output, text);
        }
        // What is typed while nobody has it open is there for the next one.
        drop(terminal);
        copy_to_the_end(&mut relay);
        typed.write_all(b"line\n").unwrap();
        rustix::event::poll(&mut relay.interests(), None).unwrap();
        relay.copy();
        let mut line = [0; 5];
        reopen(&relay).read_exact(&mut line).unwrap();
        assert_eq!(&line, b"line\n");
    }

    #[test]
    fn input_that_ends_in_raw_mode_is_copied_as_it_is() {
        let (master, mut terminal) = terminal();
        let mut raw = tcgetattr(&terminal).unwrap();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw).unwrap();
        let (_output, stdout) = pipe().unwrap();
        let (input, mut typed) = pipe().unwrap();
        let mut relay = Relay::new(master, Some(input.into()), stdout.into(), None).unwrap();
        typed.write_all(b"abc").unwrap();
        drop(typed);
        while relay.stdin.is_some() {
            relay.copy();
        }
        relay.copy();
        rustix::io::write(&relay.master, b"!").unwrap();
        let mut read = [0; 4];
        terminal.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"abc!");
    }

    #[test]
    fn input_is_copied_and_its_end_is_one() {
        for (text, expected) in [("", ""), ("line\n", "line\n"), ("line", "line"), ("a\nb", "a\nb")] {
            let (master, mut terminal) = terminal();
            let (_output, stdout) = pipe().unwrap();
            let (input, mut typed) = pipe().unwrap();
            let mut relay = Relay::new(master, Some(input.into()), stdout.into(), None).unwrap();
            typed.write_all(text.as_bytes()).unwrap();
            drop(typed);
            let read = std::thread::spawn(move || {
                let mut read = String::new();
                terminal.read_to_string(&mut read).unwrap();
                read
            });
            copy_to_the_end(&mut relay);
            assert_eq!(read.join().unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn output_that_nobody_reads_does_not_stop_the_container() {
        let (master, mut terminal) = terminal();
        let (output, stdout) = pipe().unwrap();
        drop(output);
        let mut relay = Relay::new(master, None, stdout.into(), None).unwrap();
        let write = std::thread::spawn(move || terminal.write_all(&[b'x'; 100_000]).unwrap());
        copy_to_the_end(&mut relay);
        write.join().unwrap();
    }
}
