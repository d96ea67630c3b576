use tonic::codegen::http::Response;
use tonic::{Code, Status, body::Body};

/// A message above the transport's limit is refused before it is read, with OUT_OF_RANGE; users are
/// promised INVALID_ARGUMENT and the limit.
pub(super) fn explain_too_long(response: Response<Body>, value_len_max: usize) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == Code::OutOfRange => {
            let text =
                format!("the request is too long, the limit of a value is {value_len_max} bytes: {}", status.message());
            Status::invalid_argument(text).into_http()
        }
        _ => response,
    }
}
