//! Windows: section 6.9.

use super::super::frames::kind::WINDOW_UPDATE;
use super::super::frames::{Code, LARGEST_WINDOW, flag, setting};
use super::super::link::{Link, Outcome};
use super::super::{Case, case};

pub(in super::super) const CASES: &[Case] = &[
    case("6.9", "a connection's window grows by 0", |link| {
        grow(link, 0, 0);
        link.is_cut(&[Code::PROTOCOL])
    }),
    case("6.9", "a stream's window grows by 0", |link| {
        link.post(1);
        grow(link, 1, 0);
        link.is_reset(1, &[Code::PROTOCOL])
    }),
    case("6.9", "WINDOW_UPDATE of another length than 4", |link| {
        link.send(WINDOW_UPDATE, flag::NONE, 0, [0, 0, 1]);
        link.is_cut(&[Code::FRAME_SIZE])
    }),
    case("6.9.1", "no more is sent than the window allows", |link| {
        begin_with(link, 1)?;
        link.get(1);
        link.gets_data(1, 1)
    }),
    case("6.9.1", "a connection's window above the largest", |link| {
        grow(link, 0, LARGEST_WINDOW);
        grow(link, 0, LARGEST_WINDOW);
        link.is_cut(&[Code::FLOW_CONTROL])
    }),
    case("6.9.1", "a stream's window above the largest", |link| {
        link.post(1);
        grow(link, 1, LARGEST_WINDOW);
        grow(link, 1, LARGEST_WINDOW);
        link.is_reset(1, &[Code::FLOW_CONTROL])
    }),
    case("6.9.2", "a change of INITIAL_WINDOW_SIZE holds for open streams", |link| {
        begin_with(link, 0)?;
        link.get(1);
        link.set(setting::INITIAL_WINDOW_SIZE, 1);
        link.gets_data(1, 1)
    }),
    case("6.9.2", "a window may become negative", |link| {
        begin_with(link, 3)?;
        link.get(1);
        link.gets_data(1, 3)?;
        // One less than was sent: of two more, one pays that back.
        begin_with(link, 2)?;
        grow(link, 1, 2);
        link.gets_data(1, 1)
    }),
    case("6.9.2", "INITIAL_WINDOW_SIZE above the largest", |link| {
        link.set(setting::INITIAL_WINDOW_SIZE, LARGEST_WINDOW + 1);
        link.is_cut(&[Code::FLOW_CONTROL])
    }),
];

/// Windows of streams begin with so many bytes, and Aya knows it.
fn begin_with(link: &mut Link, bytes: u32) -> Outcome {
    link.set(setting::INITIAL_WINDOW_SIZE, bytes);
    link.is_acknowledged()
}

fn grow(link: &mut Link, stream: u32, bytes: u32) {
    link.send(WINDOW_UPDATE, flag::NONE, stream, bytes.to_be_bytes());
}
