//! The page, in the binary: nothing to install beside it.

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};

/// Scripts and styles of ours only, none inline, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Is a file of the page.
struct File {
    path: &'static str,
    mime: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($path:literal $file:literal $mime:ident,)+) => {
        &[$(File { path: $path, mime: $mime, text: include_str!(concat!("../web/", $file)) },)+]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FILES: &[File] = files! {
    "/" "index.html" HTML,
    "/style.css" "style.css" CSS,
    "/icon.svg" "icon.svg" SVG,
    "/app.js" "app.js" JS,
    "/app/accounts.js" "app/accounts.js" JS,
    "/app/banner.js" "app/banner.js" JS,
    "/app/composer.js" "app/composer.js" JS,
    "/app/dialogs.js" "app/dialogs.js" JS,
    "/app/dom.js" "app/dom.js" JS,
    "/app/header.js" "app/header.js" JS,
    "/app/icons.js" "app/icons.js" JS,
    "/app/items.js" "app/items.js" JS,
    "/app/login.js" "app/login.js" JS,
    "/app/message.js" "app/message.js" JS,
    "/app/page.js" "app/page.js" JS,
    "/app/people.js" "app/people.js" JS,
    "/app/room.js" "app/room.js" JS,
    "/app/sidebar.js" "app/sidebar.js" JS,
    "/app/time.js" "app/time.js" JS,
    "/app/timeline.js" "app/timeline.js" JS,
};

/// Returns the page's routes.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, file| router.route(file.path, get(async || file.answer())))
}

impl File {
    /// Asked for anew each time: after an update of the server no page runs on with old scripts.
    fn answer(&self) -> impl IntoResponse + use<> {
        ([(header::CONTENT_TYPE, self.mime), (header::CACHE_CONTROL, "no-cache")], self.text)
    }
}

/// Puts what browsers have to be told into every answer, errors and data included.
pub(crate) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, path::Path};

    use super::*;

    fn count(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        assert_eq!(FILES.len(), count(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web")));
    }

    #[test]
    fn the_page_needs_nothing_that_its_policy_forbids() {
        for file in FILES {
            for inline in ["style=\"", "onclick=\"", "<style", "javascript:", ".innerHTML"] {
                assert!(!file.text.contains(inline), "{} has {inline}", file.path);
            }
        }
    }
}
