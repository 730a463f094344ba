//! Lists of tags.

use serde_json::json;

use super::{Api, image};

#[tokio::test]
async fn tags_are_listed_sorted_and_in_pages() {
    let api = Api::new();
    api.get("/v2/a/tags/list").await.expect_error(404, "NAME_UNKNOWN");
    let config = api.push_blob("a", b"{}").await;
    assert_eq!(
        api.get("/v2/a/tags/list").await.expect(200).json(),
        json!({"name": "a", "tags": []})
    );
    for tag in ["v2", "v10", "latest", "V1", "_x"] {
        api.push_manifest("a", tag, &image(&config, &[])).await;
    }
    api.push_image("a/deeper", "elsewhere", "x").await;
    let all = ["V1", "_x", "latest", "v10", "v2"];
    let list = async |query: &str| api.get(&format!("/v2/a/tags/list{query}")).await;
    let whole = list("").await.expect(200);
    assert_eq!(whole.json()["tags"], json!(all));
    assert!(!whole.headers.contains_key("link"));

    let mut path = "/v2/a/tags/list?n=2".to_owned();
    let mut found = Vec::new();
    for _ in 0..3 {
        let page = api.get(&path).await.expect(200);
        found.extend(page.json()["tags"].as_array().unwrap().clone());
        let Some(link) = page.headers.get("link") else { break };
        let link = link.to_str().unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        path = link.strip_prefix('<').unwrap().to_owned();
    }
    assert_eq!(found, all);

    assert_eq!(list("?last=latest").await.expect(200).json()["tags"], json!(["v10", "v2"]));
    assert_eq!(list("?last=m&n=1").await.expect(200).json()["tags"], json!(["v10"]));
    let none = list("?n=0").await.expect(200);
    assert_eq!(none.json()["tags"], json!([]));
    assert!(!none.headers.contains_key("link"));
    for bad in ["?n=-1", "?n=x", "?n=99999999999999999999"] {
        list(bad).await.expect(400); // CVE-2023-2253: a number is never a size of ours
    }
    list("?n=18446744073709551615").await.expect(200);
}
