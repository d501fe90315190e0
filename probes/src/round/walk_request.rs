//! One request of a walk over HTTP: what is sent, what of the answer is read, and what the stage has to show for it.

use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE,
        SERVER, WWW_AUTHENTICATE,
    },
};
use tokio::time::Instant;
use url::Position;

use crate::{
    client::{
        containerd::{self, Body, BodyEnd, Content, FaultKind, Manner, Read, WalkReply},
        credential::Credential,
        go_error,
    },
    net::inert::excerpt,
    outcome::{EndpointOutcome, Evidence, Fault, FaultRef},
    stages::{
        exchange::FORM,
        http::{
            HttpAnswer,
            connection::{self, HttpConnection},
            download::Begun,
            fault::HttpFault,
            response::CORRELATION_ID,
        },
        token::Token,
    },
    words::{
        acr::AcrName,
        reason::{Reason, Stage},
    },
};

/// The stage that a request for `content` is part of.
pub(super) fn stage_of(content: Content) -> Stage {
    match content {
        Content::Token => Stage::Token,
        Content::Manifest => Stage::Manifest,
        Content::Blob => Stage::Blob,
    }
}

/// An answer.
pub(super) struct Answered {
    pub response: containerd::WalkResponse,
    /// What is wrong with it: it means no, or its body does not come.
    pub fault: Option<HttpFault>,
    /// The body, where its rest is wanted.
    pub begun: Option<Begun>,
}

impl Answered {
    fn of(response: containerd::WalkResponse, fault: Option<HttpFault>) -> Self {
        Self {
            response,
            fault,
            begun: None,
        }
    }
}

/// Sends `request` once, for a part of the blob if it is `ranged`.
pub(super) async fn send(
    http: &mut HttpConnection,
    request: &containerd::WalkRequest,
    ranged: bool,
    deadline: Instant,
) -> Result<Answered, HttpFault> {
    let mut headers = request.headers.clone();
    let part = match request.read {
        Read::Measured(throughput) => Some(throughput.bytes),
        read => read.start(),
    };
    if let Some(bytes) = part.filter(|_| ranged) {
        let range = HeaderValue::try_from(format!("bytes=0-{}", bytes - 1));
        headers.extend(range.ok().map(|range| (RANGE, range)));
    }
    let mut body = Bytes::new();
    match request
        .offered
        .as_ref()
        .map(|one| (&one.credential, &one.by))
    {
        None => {}
        Some((credential, Manner::Basic)) => {
            headers.extend(credential.basic().map(|value| (AUTHORIZATION, value)));
        }
        Some((credential, Manner::Form(fields))) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
            body = credential.form(fields);
        }
    }
    let target = &request.url[Position::BeforePath..Position::AfterQuery];
    let method = request.method.clone();
    let mut answered = http
        .send(
            connection::Request {
                method,
                target,
                headers,
                body,
            },
            deadline,
        )
        .await?;
    let (status, mut headers) = (answered.status.as_u16(), answered.headers.clone());
    if let Some(offered) = &request.offered {
        mask_location(&mut headers, &offered.credential);
    }
    let keeps_open = answered.keeps_open;
    let is_part = ranged && status == 206;
    let length = length(&headers, is_part);
    let answer = |body| containerd::WalkResponse {
        status,
        headers,
        length,
        in_the_clear: false,
        keeps_open,
        said: None,
        body,
    };
    if answered.redirect().is_some() {
        // Read for the sake of the connection.
        let _ = answered.body(deadline).await;
        return Ok(Answered::of(answer(Body::default()), None));
    }
    if status >= 400 {
        let mut refused = answered.refusal(deadline).await;
        if let (HttpFault::Refused(refusal), Some(offered)) = (&mut refused, &request.offered) {
            let is_shown = |text: &String| offered.credential.is_in(text);
            refusal.message = refusal.message.take().filter(|text| !is_shown(text));
        }
        let answer = containerd::WalkResponse {
            said: refused.said(),
            ..answer(Body::default())
        };
        return Ok(Answered::of(answer, Some(refused)));
    }
    let (mut begun, mut has_ended) = (None, false);
    let (bytes, read) = match (request.read, request.read.start()) {
        (Read::Whole(cap), _) => {
            let cap = usize::try_from(cap).unwrap_or(usize::MAX);
            answered.body_up_to(cap, deadline).await
        }
        (_, Some(wanted)) => {
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            let (bytes, read) = answered.start(wanted, deadline).await;
            has_ended = matches!(read, Ok(None));
            (bytes, read.map(|rest| begun = rest))
        }
        (_, None) => (Bytes::new(), Ok(())),
    };
    let (end, fault) = match read {
        Ok(()) => (BodyEnd::Complete, None),
        Err(fault @ HttpFault::TooLarge(_)) => (BodyEnd::TooLarge, Some(fault)),
        Err(fault) => (cut(&fault), Some(fault)),
    };
    let mut response = answer(Body { bytes, end });
    if has_ended && !is_part {
        let length = response.body.bytes.len() as u64;
        response.length.get_or_insert(length);
    }
    Ok(Answered {
        response,
        fault,
        begun,
    })
}

/// How long the whole content is, as the answer with it, or with a part of it, says.
fn length(headers: &HeaderMap, is_part: bool) -> Option<u64> {
    let said = |name| headers.get(name)?.to_str().ok();
    let length = match is_part {
        true => said(CONTENT_RANGE)?.rsplit_once('/')?.1,
        false => said(CONTENT_LENGTH)?,
    };
    length.parse().ok()
}

/// The end of a body that does not come.
pub(super) fn cut(fault: &HttpFault) -> BodyEnd {
    BodyEnd::Cut(go_fault(&Fault::Http(fault.clone()), ""))
}

/// A registry may write what it was offered into the URL that it leads to, which is asked and shown.
fn mask_location(headers: &mut HeaderMap, credential: &Credential) {
    let location = headers.get(LOCATION).and_then(|to| to.to_str().ok());
    let masked = location.map(|to| HeaderValue::from_str(&credential.masked(to)));
    if let Some(Ok(masked)) = masked {
        headers.insert(LOCATION, masked);
    }
}

/// What the stage has to show for an answer. `expected` is whether the token must be granted.
pub(super) fn evidence(
    request: &containerd::WalkRequest,
    response: &containerd::WalkResponse,
    fault: Option<HttpFault>,
    expected: bool,
) -> Result<Evidence, HttpFault> {
    let header = |name| {
        response
            .headers
            .get(name)
            .map(|value: &HeaderValue| excerpt(value.as_bytes()))
    };
    let answered = HttpAnswer {
        status: response.status,
        server: header(SERVER),
        correlation_id: header(CORRELATION_ID),
    };
    let goes_on = match response.status {
        401 => {
            !request.headers.contains_key(AUTHORIZATION)
                && request.offered.is_none()
                && response.headers.contains_key(WWW_AUTHENTICATE)
        }
        405 => request.method == Method::HEAD,
        _ => false,
    };
    // The client asks again with GET; who does not take the credential is told apart by the walk.
    let is_offer =
        request.offered.is_some() && matches!(response.status, 400 | 401 | 403 | 404 | 405);
    match (request.content, fault) {
        (Content::Token, Some(_)) if is_offer => Ok(Evidence::Token(Token::Denied)),
        (Content::Token, Some(fault)) if fault.is_denial() && !expected => {
            Ok(Evidence::Token(Token::Denied))
        }
        // Azure's registries answer 401 to whoever lacks credentials, and 403 for other reasons.
        (Content::Manifest, Some(fault))
            if fault.is_denial()
                && !expected
                && !(response.status == 403 && is_azures(request)) =>
        {
            Ok(Evidence::Manifest(answered))
        }
        (Content::Manifest | Content::Blob, Some(fault)) if !goes_on => Err(fault),
        (Content::Token, Some(fault)) => Err(fault),
        (Content::Token, None) => Ok(Evidence::Token(Token::Granted)),
        (Content::Manifest, _) => Ok(Evidence::Manifest(answered)),
        (Content::Blob, _) => Ok(Evidence::Blob(answered, None)),
    }
}

fn is_azures(request: &containerd::WalkRequest) -> bool {
    let host = request.url.host_str();
    host.is_some_and(|host| AcrName::parse(host).is_some())
}

/// A fault of a stage as the client meets it.
pub(super) fn go_fault(fault: &Fault, host: &str) -> containerd::WalkFault {
    let kind = match (fault, fault.reason()) {
        (Fault::Connect(_), _) => FaultKind::Dial,
        (Fault::Http(_), Reason::Timeout) => FaultKind::Silence,
        (_, Reason::Timeout) => FaultKind::Timeout,
        (_, Reason::Closed) => FaultKind::Eof,
        _ => FaultKind::Other,
    };
    containerd::WalkFault {
        text: go_error::text(fault, host),
        kind,
    }
}

/// What a walk is told where there is no connection to `seen`.
pub(super) fn no_connection(seen: &EndpointOutcome) -> WalkReply {
    let host = &seen.endpoint.host;
    match seen.failure() {
        Some((_, FaultRef::Stage(Fault::Http(fault)))) => WalkReply::NotSeen(fault.to_string()),
        Some((_, fault)) if fault.reason() == Reason::Local => {
            WalkReply::NotSeen(fault.to_string())
        }
        Some((_, FaultRef::Stage(fault))) => {
            let fault = go_fault(fault, host);
            let text = seen.path.error().map(str::to_owned).or(fault.text);
            WalkReply::Fault(containerd::WalkFault { text, ..fault })
        }
        Some((_, FaultRef::Resolve(_))) => WalkReply::Fault(containerd::WalkFault {
            text: seen.path.error().map(str::to_owned),
            kind: FaultKind::Dial,
        }),
        None => WalkReply::NotSeen(format!("no connection to {}", seen.endpoint)),
    }
}

#[cfg(test)]
mod tests;
