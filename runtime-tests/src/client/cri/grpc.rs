//! Unary gRPC calls over a Unix socket: HTTP/2 is h2's, the framing of a message its five bytes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use prost::Message;
use tokio::net::UnixStream;

/// How long a call may take: some stop containers that take their time.
const DEADLINE: Duration = Duration::from_secs(40);

/// What a call was answered with instead of a message.
#[derive(Debug)]
pub struct Status {
    /// The status code; 2 is `UNKNOWN`, 4 `DEADLINE_EXCEEDED`, 5 `NOT_FOUND`.
    pub code: u32,
    /// Its message.
    pub message: String,
}

/// A server's address.
#[derive(Clone, Debug)]
pub struct Channel {
    socket: PathBuf,
}

impl Channel {
    /// Nothing is connected yet: each call connects.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Calls `method` (`runtime.v1.RuntimeService/Version`).
    ///
    /// # Errors
    /// The status that the server answered with.
    ///
    /// # Panics
    /// When the transport fails, or at the deadline.
    pub fn call<A: Message + Default>(&self, method: &str, request: &impl Message) -> Result<A, Status> {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(request.encoded_len()).expect("a small message"));
        request.encode(&mut body).expect("a growing buffer");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let exchange = self.exchange(method, body.freeze());
        let answer = runtime.block_on(async { tokio::time::timeout(DEADLINE, exchange).await });
        let (headers, mut body) = match answer {
            Err(_) => panic!("{method}: no answer in {DEADLINE:?}"),
            Ok(Err(error)) => panic!("{method}: {error}"),
            Ok(Ok(answer)) => answer,
        };
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match text("grpc-status").parse() {
            Ok(0) => {}
            code => {
                let message = text("grpc-message").to_owned();
                return Err(Status { code: code.unwrap_or(2), message });
            }
        }
        body.advance(5);
        Ok(A::decode(body).unwrap_or_else(|error| panic!("{method}: {error}")))
    }

    /// Sends a request: the answer's headers, with its trailers among them, and its body.
    async fn exchange(&self, method: &str, body: Bytes) -> Result<(HeaderMap, Bytes), h2::Error> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", self.socket.display()));
        let (client, connection) = h2::client::handshake(stream).await?;
        // It ends with the runtime.
        drop(tokio::task::spawn(connection));
        let mut client = client.ready().await?;
        let request = Request::post(format!("http://localhost/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let (response, mut sender) = client.send_request(request, false)?;
        sender.send_data(body, true)?;
        let (head, mut received) = response.await?.into_parts();
        let mut headers = head.headers;
        let mut body = BytesMut::new();
        while let Some(chunk) = received.data().await {
            let chunk = chunk?;
            received.flow_control().release_capacity(chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        headers.extend(received.trailers().await?.unwrap_or_default());
        Ok((headers, body.freeze()))
    }
}
