mod requests;
mod responses;

use super::*;
use crate::HttpError;

const LIMITS: HeadLimits = HeadLimits { max_head_bytes: 4096, max_fields: 20, max_target_bytes: 256 };

fn request(input: &[u8]) -> Result<RequestHead, HttpError> {
    let mut head = RequestHead::new();
    match head.parse(input, &LIMITS)? {
        Some(_) => {
            head.check_invariants();
            Ok(head)
        }
        None => panic!("incomplete: {:?}", String::from_utf8_lossy(input)),
    }
}

fn response(input: &[u8]) -> Result<ResponseHead, HttpError> {
    let mut head = ResponseHead::default();
    match head.parse(input, &LIMITS)? {
        Some(_) => {
            head.check_invariants();
            Ok(head)
        }
        None => panic!("incomplete: {:?}", String::from_utf8_lossy(input)),
    }
}
