//! The browser client.

use crate::site::Site;

#[tokio::test]
async fn the_client_is_served_to_everybody_and_kept_until_it_changes() {
    let site = Site::memory().await;
    for (path, mime) in
        [("/client.js", "text/javascript; charset=utf-8"), ("/client.d.ts", "application/typescript; charset=utf-8")]
    {
        let first = site.send("GET", path, "", None).await;
        assert_eq!((first.status, first.header("content-type")), (200, Some(mime)));
        assert_eq!(first.header("cache-control"), Some("public, no-cache"));
        assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
        assert!(first.body.contains("ChatClient"));
        let tag = first.header("etag").unwrap();
        let again = site.send("GET", path, &format!("if-none-match: \"other\", W/{tag}\r\n"), None).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(again.header("etag"), Some(tag));
        assert_eq!(site.send("GET", path, "if-none-match: \"other\"\r\n", None).await.status, 200);
        let head = site.send("HEAD", path, "", None).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
    }
}
