use super::*;

#[test]
fn a_stanza_as_clients_cut_it() {
    let message = parse(
        " <message from='a@b/c' to=\"d@e\" type='chat' xml:lang='en'><body>1 &lt; 2&#x21;</body>\
         <x xmlns='urn:x'><y/></x><p:z xmlns:p='urn:z' p:v='1'/></message>\n",
    )
    .unwrap();
    assert!(message.is(CLIENT_NS, "message"));
    assert_eq!(message.attr("to"), Some("d@e"));
    assert_eq!(message.attr("lang"), None);
    assert_eq!(message.child(CLIENT_NS, "body").unwrap().text(), "1 < 2!");
    assert!(message.child("urn:x", "x").unwrap().child("urn:x", "y").is_some());
    let z = message.child("urn:z", "z").unwrap();
    assert_eq!(z.attributes.first().unwrap().ns.as_deref(), Some("urn:z"));
}

#[test]
fn borrows_what_it_can() {
    let message = parse("<message id='a'><body>text</body><x xmlns='urn:x'/></message>").unwrap();
    let body = message.child(CLIENT_NS, "body").unwrap();
    assert!(matches!(message.attributes.first().unwrap().value, Cow::Borrowed("a")));
    assert!(matches!(body.children.first(), Some(Node::Text(Cow::Borrowed("text")))));
    assert!(matches!(message.child("urn:x", "x").unwrap().ns, Cow::Borrowed(_)));
}

#[test]
fn normalised_as_xml_says() {
    let a = parse("<a b='1\r\n2\r3\n4\t5&#13;&#10;&#9;'>x\r\ny\rz&#13;<![CDATA[\r\n<&]]>w</a>").unwrap();
    assert_eq!(a.attr("b"), Some("1 2 3 4 5\r\n\t"));
    assert_eq!(a.children, [Node::Text("x\ny\nz\r\n<&w".into())]);
}

#[test]
fn scopes_end_with_their_elements() {
    let a = parse("<a><b xmlns='urn:b'><c xmlns=''/><d/></b><e xmlns:p='urn:p'/><f/></a>").unwrap();
    let b = a.child("urn:b", "b").unwrap();
    assert!(b.child("", "c").is_some() && b.child("urn:b", "d").is_some());
    assert!(a.child(CLIENT_NS, "f").is_some());
    assert_eq!(parse("<a><e xmlns:p='urn:p'/><p:f/></a>"), Err(Malformed::Xml));
    assert_eq!(parse("<a><e xmlns:p='urn:p'></e><p:f/></a>"), Err(Malformed::Xml));
    assert!(parse("<a xmlns:p='urn:p'><p:f/><p:g></p:g></a>").is_ok());
}

#[test]
fn hostile_input() {
    for (text, malformed) in [
        ("", Malformed::Stanza),
        (" \n", Malformed::Stanza),
        // Not one element.
        ("text", Malformed::Xml),
        ("<a/>text", Malformed::Xml),
        ("<a/><b/>", Malformed::Xml),
        ("<a/> <b/>", Malformed::Xml),
        ("\u{FEFF}<a/>", Malformed::Xml),
        ("<a>", Malformed::Xml),
        ("<a><b></a>", Malformed::Xml),
        ("<a></b>", Malformed::Xml),
        ("</a>", Malformed::Xml),
        ("<a/></a>", Malformed::Xml),
        ("<a", Malformed::Xml),
        ("<a/>&amp;", Malformed::Xml),
        ("<a/><![CDATA[]]>", Malformed::Xml),
        // What XMPP forbids.
        ("<?xml version='1.0'?><a/>", Malformed::ForbiddenXml),
        ("<a><?x y?></a>", Malformed::ForbiddenXml),
        ("<a><!-- --></a>", Malformed::ForbiddenXml),
        ("<!DOCTYPE a><a/>", Malformed::ForbiddenXml),
        ("<!doctype a><a/>", Malformed::ForbiddenXml),
        ("<a>&nbsp;</a>", Malformed::ForbiddenXml),
        ("<a b='&nbsp;'/>", Malformed::ForbiddenXml),
        ("<a xmlns='urn:&#120;'/>", Malformed::ForbiddenXml),
        ("<a xmlns:p='urn:\n'/>", Malformed::ForbiddenXml),
        ("<a xmlns:p='urn:>'/>", Malformed::ForbiddenXml),
        // Names.
        ("<>", Malformed::Xml),
        ("</>", Malformed::Xml),
        ("< a/>", Malformed::Xml),
        ("<1/>", Malformed::Xml),
        ("<a:/>", Malformed::Xml),
        ("<:a/>", Malformed::Xml),
        ("<p:q:a xmlns:p='x'/>", Malformed::Xml),
        ("<a/ >", Malformed::Xml),
        ("<a></a b='1'>", Malformed::Xml),
        // Namespaces.
        ("<p:a/>", Malformed::Xml),
        ("<a p:b='1'/>", Malformed::Xml),
        ("<xmlns:a/>", Malformed::Xml),
        ("<a xmlns:p=''/>", Malformed::Xml),
        ("<a xmlns:xmlns='urn:x'/>", Malformed::Xml),
        ("<a xmlns:xml='urn:x'/>", Malformed::Xml),
        ("<a xmlns='http://www.w3.org/XML/1998/namespace'/>", Malformed::Xml),
        ("<a xmlns:p='http://www.w3.org/2000/xmlns/'/>", Malformed::Xml),
        ("<a xmlns='urn:x' xmlns='urn:x'/>", Malformed::Xml),
        // Attributes.
        ("<a b='1' b='1'/>", Malformed::Xml),
        ("<a xmlns:p='x' xmlns:q='x' p:b='1' q:b='1'/>", Malformed::Xml),
        ("<a b='1'c='2'/>", Malformed::Xml),
        ("<a b/>", Malformed::Xml),
        ("<a b=1/>", Malformed::Xml),
        ("<a b='<'/>", Malformed::Xml),
        ("<a b='&amp'/>", Malformed::Xml),
        ("<a b='&#1;'/>", Malformed::Xml),
        ("<a b='1\">", Malformed::Xml),
        // Characters.
        ("<a>]]></a>", Malformed::Xml),
        ("<a>\u{1}</a>", Malformed::Xml),
        ("<a>\0</a>", Malformed::Xml),
        ("<a>\u{FFFE}</a>", Malformed::Xml),
        ("<a b='\u{FFFF}'/>", Malformed::Xml),
        ("<a>&#0;</a>", Malformed::Xml),
        ("<a>&#xFFFE;</a>", Malformed::Xml),
        ("<a>&#xD800;</a>", Malformed::Xml),
        ("<a>&#x110000;</a>", Malformed::Xml),
        ("<a>&#99999999999;</a>", Malformed::Xml),
        ("<a>&#+65;</a>", Malformed::Xml),
        ("<a>&#;</a>", Malformed::Xml),
        ("<a>&#x;</a>", Malformed::Xml),
        ("<a>&#X41;</a>", Malformed::Xml),
        ("<a>&amp</a>", Malformed::Xml),
        ("<a>&</a>", Malformed::Xml),
    ] {
        assert_eq!(parse(text), Err(malformed), "{text:?}");
    }
}

#[test]
fn accepted_though_unusual() {
    for text in [
        "<a b = '1'\n\tc=\">'\" ></a >",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang=''/>",
        "<xml:a/>",
        "<a xmlns:p='x' b='1' p:b='1'/>",
        "<a>>]]</a>",
        "<a>]]<![CDATA[>]]></a>",
        "<körper/>",
        "<a>&#0000000000000000000000065;</a>",
    ] {
        assert!(parse(text).is_ok(), "{text:?}");
    }
}

#[test]
fn bounds() {
    let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    assert!(parse(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(parse(&deep(MAX_DEPTH + 1)), Err(Malformed::TooDeep));
    assert!(parse_children(&deep(MAX_DEPTH - 1)).is_ok());
    assert_eq!(parse_children(&deep(MAX_DEPTH)), Err(Malformed::TooDeep));

    let large = |n: usize| format!("<a>{}</a>", "x".repeat(n - 7));
    assert!(parse(&large(MAX_STANZA)).is_ok());
    assert_eq!(parse(&large(MAX_STANZA + 1)), Err(Malformed::TooLarge));
    assert_eq!(parse_children(&"x".repeat(MAX_STANZA + 1)), Err(Malformed::TooLarge));

    let nodes = |n: usize| format!("<a>{}</a>", "<b/>".repeat(n - 1));
    assert!(parse(&nodes(MAX_NODES)).is_ok());
    assert_eq!(parse(&nodes(MAX_NODES + 1)), Err(Malformed::TooLarge));
    let texts = format!("<a>{}</a>", "x<b/>".repeat(MAX_NODES / 2));
    assert_eq!(parse(&texts), Err(Malformed::TooLarge));

    let attributes = |n: usize| {
        let all = (0..n).map(|i| format!(" a{i}=''")).collect::<Vec<_>>().concat();
        format!("<a{all}/>")
    };
    assert!(parse(&attributes(MAX_ATTRIBUTES)).is_ok());
    assert_eq!(parse(&attributes(MAX_ATTRIBUTES + 1)), Err(Malformed::TooLarge));

    let bound = |n: usize| {
        let all = (0..16).map(|i| format!(" xmlns:p{i}='urn:{i}'")).collect::<Vec<_>>().concat();
        let inner = format!("<a{all}>").repeat(n / 16);
        format!("{inner}{}", "</a>".repeat(n / 16))
    };
    assert!(parse(&bound(MAX_BINDINGS)).is_ok());
    assert_eq!(parse(&bound(MAX_BINDINGS + 16)), Err(Malformed::TooLarge));
}

#[test]
fn children_alone() {
    let children = parse_children("\u{FEFF}\u{FEFF}x<body>t</body>\u{FEFF}").unwrap();
    assert_eq!(children.len(), 3);
    assert_eq!(children.first(), Some(&Node::Text("\u{FEFF}\u{FEFF}x".into())));
    assert_eq!(parse_children(""), Ok(Vec::new()));
    for text in ["</message>", "</message><message>", "</message><message/><message>", "<a>", "<!---->"] {
        assert!(parse_children(text).is_err(), "{text}");
    }
}
