//! As much HTTP/1.1 as a directory, a control endpoint and a fetch on loopback need.
//!
//! Requests with a body need a content length. Every answer allows every origin, since pages of any origin may use the
//! directory, and OPTIONS is answered for preflights.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest head of a request or answer.
const HEAD_LEN_MAX: usize = 16 << 10;
/// The longest body of a request.
const BODY_LEN_MAX: usize = 64 << 10;
/// The longest answer that [`fetch`] takes.
const FETCHED_LEN_MAX: usize = 64 << 20;
/// How many header fields are looked at.
const FIELD_COUNT_MAX: usize = 64;
/// How long a connection may be idle, and how long a fetch may take between two reads.
const IDLE: Duration = Duration::from_secs(30);

/// What a server was asked for.
#[derive(Debug)]
pub struct Request {
    /// In capital letters.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What a server answers.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// JSON with status 200.
    pub fn json(value: &impl serde::Serialize) -> Self {
        Self::json_with_status(200, value)
    }

    /// An error as JSON.
    pub fn error(status: u16, message: &str) -> Self {
        Self::json_with_status(status, &serde_json::json!({ "error": message }))
    }

    fn json_with_status(status: u16, value: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self { status, content_type: "application/json", body }
    }
}

/// Reads requests from a connection and writes what `answer` says to each, until one side has enough.
///
/// # Errors
/// The connection broke, was idle for too long, or sent what is no request.
pub async fn serve<A, F>(mut stream: TcpStream, answer: A) -> io::Result<()>
where
    A: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    let mut buffer = Vec::new();
    while let Some((request, keep_alive)) = read_request(&mut stream, &mut buffer).await? {
        let response = if request.method == "OPTIONS" {
            Response { status: 204, content_type: "text/plain", body: Vec::new() }
        } else {
            answer(request).await
        };
        let mut bytes = head_of(&response, keep_alive);
        bytes.extend_from_slice(&response.body);
        stream.write_all(&bytes).await?;
        if !keep_alive {
            break;
        }
    }
    stream.shutdown().await
}

/// Reads one request and whether the connection stays; nothing if the other side closed before it began one.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<(Request, bool)>> {
    loop {
        if let Some(head) = parse_head(buffer)? {
            buffer.drain(..head.len);
            while buffer.len() < head.body_len {
                if read_more(stream, buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let body = buffer.drain(..head.body_len).collect();
            return Ok(Some((Request { body, ..head.request }, head.keep_alive)));
        }
        if buffer.len() > HEAD_LEN_MAX {
            return Err(invalid("head too long"));
        }
        if read_more(stream, buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

struct Head {
    request: Request,
    keep_alive: bool,
    len: usize,
    body_len: usize,
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELD_COUNT_MAX];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(len) = head.parse(bytes).map_err(invalid)? else {
        return Ok(None);
    };
    let target = head.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let close = field(head.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let body_len = match field(head.headers, "content-length") {
        Some(text) => text.trim().parse().map_err(invalid)?,
        None => 0,
    };
    if body_len > BODY_LEN_MAX {
        return Err(invalid("body too long"));
    }
    let request = Request {
        method: head.method.unwrap_or_default().to_ascii_uppercase(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: Vec::new(),
    };
    Ok(Some(Head { request, keep_alive: head.version == Some(1) && !close, len, body_len }))
}

fn head_of(response: &Response, keep_alive: bool) -> Vec<u8> {
    let reason = match response.status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Other",
    };
    format!(
        "HTTP/1.1 {} {reason}\r\n\
         Content-Type: {}\r\n\
         Content-Length: {}\r\n\
         Connection: {}\r\n\
         Cache-Control: no-store\r\n\
         Access-Control-Allow-Origin: *\r\n\
         Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n\
         Access-Control-Allow-Headers: *\r\n\
         Access-Control-Max-Age: 600\r\n\
         Cross-Origin-Resource-Policy: cross-origin\r\n\r\n",
        response.status,
        response.content_type,
        response.body.len(),
        if keep_alive { "keep-alive" } else { "close" },
    )
    .into_bytes()
}

/// Asks for a document and gives back status and body.
///
/// # Errors
/// No connection, or an answer that is no HTTP, too long, or takes too long.
pub async fn fetch(method: &str, address: SocketAddr, target: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).await?;
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request).await?;
    let mut answer = Vec::new();
    while read_more(&mut stream, &mut answer).await? > 0 {
        if answer.len() > FETCHED_LEN_MAX {
            return Err(invalid("answer too long"));
        }
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELD_COUNT_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_len) = head.parse(&answer).map_err(invalid)? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let promised = field(head.headers, "content-length").map(|value| value.trim().parse::<usize>());
    let status = head.code.unwrap_or_default();
    answer.drain(..head_len);
    match promised {
        Some(Ok(len)) if len == answer.len() => Ok((status, answer)),
        None => Ok((status, answer)),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    timeout(IDLE, stream.read_buf(buffer)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn field<'a>(fields: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one connection that repeats what it was asked, and gives back its address.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = |request: Request| async move {
                let body = String::from_utf8(request.body).unwrap();
                Response::json(&[request.method, request.path, request.query, body])
            };
            let _ = serve(stream, answer).await;
        });
        address
    }

    #[tokio::test]
    async fn a_fetch_gets_what_the_server_answers() {
        let (status, body) = fetch("POST", echo().await, "/a/b?c=d", b"body").await.unwrap();
        assert_eq!((status, body.as_slice()), (200, br#"["POST","/a/b","c=d","body"]"#.as_slice()));
    }

    #[tokio::test]
    async fn requests_in_one_connection_are_answered_in_order_and_garbage_ends_it() {
        let mut stream = TcpStream::connect(echo().await).await.unwrap();
        stream
            .write_all(b"OPTIONS /x HTTP/1.1\r\nOrigin: null\r\n\r\nGET /y HTTP/1.1\r\n\r\nnonsense\0\r\n\r\n")
            .await
            .unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        let heads: Vec<&str> = answers.lines().filter(|line| line.starts_with("HTTP/")).collect();
        assert_eq!(heads, ["HTTP/1.1 204 No Content", "HTTP/1.1 200 OK"]);
        assert_eq!(answers.matches("Access-Control-Allow-Origin: *").count(), 2);
        assert!(answers.ends_with(r#"["GET","/y","",""]"#));
    }

    #[tokio::test]
    async fn a_body_above_the_bound_is_not_read() {
        let mut stream = TcpStream::connect(echo().await).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
    }
}
