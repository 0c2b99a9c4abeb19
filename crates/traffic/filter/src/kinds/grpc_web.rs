//! `grpc-web`: lets browsers call services of gRPC.
//!
//! Source: "gRPC Web" in the specification of gRPC (PROTOCOL-WEB).

mod frames;
mod text;

use base_kit::{KindInfo, Status};
use schemars::JsonSchema;
use serde::Deserialize;
use traffic_http::grpc::{Dialect, MediaType};
use traffic_http::{Fields, KnownField, Method, RequestHead, ResponseHead};

use self::frames::trailer_frame;
use self::text::{TextDecoder, TextEncoder};
use crate::kinds::cors::EXPOSE;
use crate::settings;
use crate::{
    AnswerRecoding, Filter, FilterKind, Flow, RecodeError, Recoder, Recoding, RequestContext, SettingsError,
};

const CONTENT_TYPE: &str = "content-type";
/// A head with this is the whole answer.
const STATUS: &str = "grpc-status";
/// What a page of another site is to be able to read.
const EXPOSED: &[u8] = b"grpc-status, grpc-message, grpc-status-details-bin, x-aya-reason";

/// The kind.
pub(super) struct GrpcWeb;

/// It has no settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {}

impl FilterKind for GrpcWeb {
    fn info(&self) -> KindInfo {
        KindInfo {
            name: "grpc-web",
            summary: "Lets browsers call services of gRPC: turns gRPC-Web, binary or in base64, into gRPC and its answers back. Other requests pass as \
                      they are. The pool has to speak HTTP/2.",
            status: Status::Beta,
        }
    }

    fn schema(&self) -> schemars::Schema {
        settings::schema::<Settings>()
    }

    fn example(&self) -> &'static str {
        "{}"
    }

    fn build(&self, settings: &serde_json::Value) -> Result<Box<dyn Filter>, SettingsError> {
        Ok(Box::new(settings::parse::<Settings>(settings)?))
    }
}

impl Filter for Settings {
    fn request_head(&self, context: &RequestContext<'_>, request: &mut RequestHead) -> Flow {
        let is_post = request.method() == Method::Post;
        let fields = request.fields_mut();
        let asked = fields.find(CONTENT_TYPE).and_then(MediaType::parse).filter(|_| is_post);
        let Some(asked) = asked.filter(|asked| asked.dialect != Dialect::Native) else {
            return Flow::Continue;
        };
        // Who does not say what it takes takes what it sends.
        let answer = dialect_of_answer(fields).unwrap_or(asked.dialect);
        let (native, dialect) = (asked.written_as(Dialect::Native), asked.dialect);
        fields.set(CONTENT_TYPE, &native);
        // Without it a server may leave away what stands behind the body.
        fields.set_known(KnownField::Te, b"trailers");
        let decoder = || Box::new(TextDecoder::default()) as Box<dyn Recoder>;
        let answer = AnswerOf { dialect: answer, is_cross_origin: context.origin.is_some() };
        Flow::Recode(Recoding {
            request: (dialect == Dialect::WebText).then(decoder),
            answer: Box::new(answer),
        })
    }

    fn failure_head(&self, context: &RequestContext<'_>, response: &mut ResponseHead) {
        let fields = response.fields_mut();
        let told = fields.find(CONTENT_TYPE).and_then(MediaType::parse);
        if context.origin.is_some() && told.is_some_and(|told| told.dialect != Dialect::Native) {
            fields.append(EXPOSE, EXPOSED);
        }
    }
}

/// In which dialect the client wants its answer, if it says so.
fn dialect_of_answer(fields: &Fields) -> Option<Dialect> {
    let types = fields.find_all("accept").flat_map(|value| value.split(|byte| *byte == b','));
    let mut dialects = types.filter_map(|value| MediaType::parse(value.trim_ascii())).map(|of| of.dialect);
    dialects.find(|dialect| *dialect != Dialect::Native)
}

/// What is known of an answer to come.
#[derive(Debug)]
struct AnswerOf {
    dialect: Dialect,
    is_cross_origin: bool,
}

impl AnswerRecoding for AnswerOf {
    fn head(self: Box<Self>, response: &mut ResponseHead) -> Option<Box<dyn Recoder>> {
        let fields = response.fields_mut();
        if self.is_cross_origin {
            fields.append(EXPOSE, EXPOSED);
        }
        // Something else than gRPC goes as it is: clients make of the status what they can.
        let given = fields.find(CONTENT_TYPE).and_then(MediaType::parse)?.written_as(self.dialect);
        fields.set(CONTENT_TYPE, &given);
        if fields.find(STATUS).is_some() {
            return None;
        }
        Some(match self.dialect {
            Dialect::WebText => Box::new(TextEncoder::default()),
            Dialect::Native | Dialect::Web => Box::new(Binary),
        })
    }
}

/// Frames as they are, and what stands behind them in a frame of its own.
#[derive(Debug)]
struct Binary;

impl Recoder for Binary {
    fn recode(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), RecodeError> {
        out.extend_from_slice(piece);
        Ok(())
    }

    fn finish(&mut self, trailers: &Fields, out: &mut Vec<u8>) -> Result<(), RecodeError> {
        trailer_frame(trailers, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
