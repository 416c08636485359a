//! J1 to J26: texts on a WebSocket whose user has said hello.

mod numbers;
mod rooms;
mod shapes;
mod texts;

use crate::row::Part;

pub(crate) const PART: Part = Part {
    title: "Requests in JSON",
    intro: "Texts on a WebSocket after `hello`. The reply is the frame that answers, with the `ref` that was sent; the \
            connection stays, and a good request behind the bad one is answered. Unless the reply is `ack`, nothing is stored.",
    rows: &[shapes::ROWS, numbers::ROWS, texts::ROWS, rooms::ROWS],
};
