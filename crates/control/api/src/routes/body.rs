//! Bodies of requests: read within limits of size and time.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::{BODY_TIMEOUT, CONFIG_BYTES, SMALL_BODY_BYTES};
use crate::problem::{Code, Problem};

/// How much of a body that is too long is read and thrown away, so that its sender gets to see the answer instead of a
/// connection reset in the middle of sending.
const DISCARDED_BYTES: usize = 2 * CONFIG_BYTES;

/// The whole body, if it is no longer than `most`.
pub(super) async fn read(request: Request, most: usize) -> Result<Vec<u8>, Problem> {
    let waits_for_leave = request.headers().contains_key(header::EXPECT);
    let body = request.into_body();
    if waits_for_leave && body.size_hint().lower() > most as u64 {
        return Err(too_large(most));
    }
    match tokio::time::timeout(BODY_TIMEOUT, collect(body, most)).await {
        Ok(read) => read,
        Err(_elapsed) => {
            let detail = format!("the body was not complete after {} seconds", BODY_TIMEOUT.as_secs());
            Err(Problem::new(Code::Timeout, detail).how("send it again"))
        }
    }
}

async fn collect(mut body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    let (mut bytes, mut discarded) = (Vec::new(), 0);
    while let Some(data) = next_data(&mut body).await? {
        if discarded == 0 && bytes.len() + data.len() <= most {
            bytes.extend_from_slice(&data);
        } else {
            discarded += data.len();
        }
        if discarded > DISCARDED_BYTES {
            break;
        }
    }
    if discarded == 0 { Ok(bytes) } else { Err(too_large(most)) }
}

/// The next data of a body; trailers are passed over.
async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(Problem::new(Code::BadRequest, format!("the body cannot be read: {error}")));
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn too_large(most: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("the body is longer than {most} bytes"))
}

/// An answer as JSON, on a line of its own: whoever asks from a shell gets the prompt back where it belongs.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        // Strings, numbers and words: these always serialise.
        let mut body = serde_json::to_vec(&self.0).unwrap_or_default();
        body.push(b'\n');
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// The body as JSON. Unknown members are errors, like in the configuration.
pub(super) async fn read_json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let bytes = read(request, SMALL_BODY_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(Code::BadRequest, format!("the body is not what is expected here: {error}"))
            .at("body")
            .how("`/api/v1/openapi.json` describes it")
    })
}
