//! The streams of `Exec` and `Attach` over a WebSocket (RFC 6455, `v4.channel.k8s.io`): each message's first byte is its
//! channel: 0 standard input, 1 output, 2 error, 3 the final status, 4 the terminal's size.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::wait::DEADLINE;

const BINARY: u8 = 2;
const CLOSE: u8 = 8;

/// A connection.
#[derive(Debug)]
pub struct Stream {
    reader: BufReader<TcpStream>,
    /// What has come on channels 1 and 2.
    pub output: [String; 2],
    /// The final status, a `metav1.Status`.
    pub status: Option<Value>,
}

impl Stream {
    /// Connects, within the engine's network namespace.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn connect(url: &str) -> Self {
        let (place, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
        let mut stream = TcpStream::connect(place).unwrap_or_else(|error| panic!("{place}: {error}"));
        stream.set_read_timeout(Some(DEADLINE)).expect("set a deadline");
        // The key proves nothing here: one side is a test.
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {place}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGVzdHMgb2YgYSBydW50aW1lIQ==\r\n\
             Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nOrigin: http://{place}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("write the request");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("read the answer") > 0, "{url}: {head}");
        }
        assert!(head.starts_with("HTTP/1.1 101"), "{url}: {head}");
        Self { reader, output: [String::new(), String::new()], status: None }
    }

    /// Sends on a channel: 0 for standard input, 4 for `{"Width":…,"Height":…}`.
    ///
    /// # Panics
    /// When the other side is gone.
    pub fn send(&mut self, channel: u8, content: &str) {
        let length = content.len() + 1;
        assert!(length < 126, "a short message");
        // A client's frames are masked; a mask of zeros leaves the content as it is.
        let mut frame = vec![0x80 | BINARY, 0x80 | length as u8, 0, 0, 0, 0, channel];
        frame.extend_from_slice(content.as_bytes());
        self.reader.get_mut().write_all(&frame).expect("write a frame");
    }

    /// Reads one frame; false at the end.
    fn receive(&mut self) -> bool {
        let mut head = [0; 2];
        if self.reader.read_exact(&mut head).is_err() {
            return false;
        }
        let mut extended = [0; 8];
        let length = match head[1] & 0x7f {
            126 => {
                self.reader.read_exact(&mut extended[6..]).expect("read a length");
                u64::from_be_bytes(extended)
            }
            127 => {
                self.reader.read_exact(&mut extended).expect("read a length");
                u64::from_be_bytes(extended)
            }
            length => u64::from(length),
        };
        let mut content = vec![0; usize::try_from(length).expect("a length")];
        self.reader.read_exact(&mut content).expect("read a frame");
        if head[0] & 0xf == CLOSE {
            return false;
        }
        match content.split_first() {
            Some((channel @ (1 | 2), text)) => {
                self.output[usize::from(channel - 1)].push_str(&String::from_utf8_lossy(text));
            }
            Some((3, text)) => self.status = serde_json::from_slice(text).ok(),
            _ => {}
        }
        true
    }

    /// Reads until standard output has had `words`.
    ///
    /// # Panics
    /// When the stream ends before.
    pub fn until(&mut self, words: &str) {
        while !self.output[0].contains(words) {
            assert!(self.receive(), "`{words}` did not come: {:?}, {:?}", self.output, self.status);
        }
    }

    /// Reads to the end.
    pub fn finish(&mut self) {
        while self.receive() {}
    }
}
