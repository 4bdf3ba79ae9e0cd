//! What this crate's reader relies on, or guards against, in quick-xml: a version that changes any
//! of it fails here first.

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, Reader, Writer};

/// The events of `text` up to the first error or the end, which is left out.
fn events(text: &str) -> Result<Vec<Event<'_>>, quick_xml::Error> {
    let mut reader = Reader::from_str(text);
    let mut all = Vec::new();
    loop {
        let event = reader.read_event()?;
        if event == Event::Eof {
            return Ok(all);
        }
        all.push(event);
    }
}

fn names(text: &str) -> Vec<&'static str> {
    let name = |event: &Event<'_>| match event {
        Event::Start(_) => "start",
        Event::End(_) => "end",
        Event::Empty(_) => "empty",
        Event::Text(_) => "text",
        Event::CData(_) => "cdata",
        Event::Comment(_) => "comment",
        Event::Decl(_) => "declaration",
        Event::PI(_) => "instruction",
        Event::DocType(_) => "doctype",
        Event::GeneralRef(_) => "reference",
        Event::Eof => "end of input",
    };
    events(text).expect("read without error").iter().map(name).collect()
}

/// How the first element's name resolves.
fn bound(text: &str) -> String {
    let mut reader = NsReader::from_str(text);
    match reader.read_resolved_event().expect("read without error").0 {
        ResolveResult::Bound(namespace) => namespace.into_inner().to_owned(),
        ResolveResult::Unbound => "unbound".to_owned(),
        ResolveResult::Unknown(prefix) => format!("unknown {prefix}"),
    }
}

#[test]
fn trap_1_references_are_events_of_their_own_and_unknown_ones_pass() {
    assert_eq!(
        names("<a>x&amp;y&#33;&unknown;</a>"),
        ["start", "text", "reference", "text", "reference", "reference", "end"]
    );
    assert!(events("<a>&amp</a>").is_err());
    assert!(events("<a>&</a>").is_err());
}

#[test]
fn trap_2_open_elements_at_the_end_are_no_error() {
    assert_eq!(names("<a><b>"), ["start", "start"]);
    assert!(events("<a></b>").is_err());
    assert!(events("</a>").is_err());
}

#[test]
fn trap_3_no_document_is_asked_for() {
    assert_eq!(names("x<a/><b/>y"), ["text", "empty", "empty", "text"]);
    assert_eq!(
        names("<?xml version='1.0'?><!DOCTYPE a><!-- --><?x?><![CDATA[<]]>"),
        ["declaration", "doctype", "comment", "instruction", "cdata"]
    );
    assert_eq!(names("<a>]]></a>"), ["start", "text", "end"]);
    // A byte order mark is dropped, and not counted in positions.
    assert_eq!(names("\u{FEFF}<a/>"), ["empty"]);
    let mut reader = Reader::from_str("\u{FEFF}<a/>");
    reader.read_event().unwrap();
    assert_eq!(reader.buffer_position(), 4);
}

#[test]
fn trap_4_an_undeclared_prefix_is_no_error() {
    assert_eq!(bound("<p:a/>"), "unknown p");
    assert_eq!(bound("<a/>"), "unbound");
}

#[test]
fn trap_5_namespace_names_are_compared_raw() {
    assert_eq!(bound("<a xmlns='urn:&#120;'/>"), "urn:&#120;");
}

#[test]
fn trap_6_duplicate_attributes_are_found_only_by_iterating_and_by_prefix() {
    assert!(events("<a b='1' b='2'/>").is_ok());
    let count_errors = |text: &str| {
        let events = events(text).unwrap();
        let Some(Event::Empty(start)) = events.first() else { panic!("{events:?}") };
        start.attributes().filter(Result::is_err).count()
    };
    assert_eq!(count_errors("<a b='1' b='2'/>"), 1);
    assert_eq!(count_errors("<a xmlns:p='x' xmlns:q='x' p:b='1' q:b='2'/>"), 0);
}

#[test]
fn trap_7_characters_that_xml_cannot_carry_pass_in_and_out() {
    assert_eq!(names("<a b='\u{1}'>\u{FFFE}&#1;</a>"), ["start", "text", "reference", "end"]);
    let mut writer = Writer::new(Vec::new());
    writer.write_event(Event::Text(quick_xml::events::BytesText::new("\u{1}"))).unwrap();
    assert_eq!(writer.into_inner(), b"\x01");
}

#[test]
fn trap_8_an_empty_element_has_no_end() {
    assert_eq!(names("<a/>"), ["empty"]);
    assert_eq!(names("<a></a>"), ["start", "end"]);
    assert_eq!(names("<a/ ></a/>"), ["start", "end"]);
}

#[test]
fn trap_9_neither_size_nor_depth_is_bounded() {
    assert_eq!(names(&"<a>".repeat(100_000)).len(), 100_000);
    assert_eq!(names(&format!("<a{}/>", " b='1'".repeat(100_000))), ["empty"]);
}

#[test]
fn trap_10_it_needs_std() {
    fn std_error<T: std::error::Error>() {}
    fn from_io<T: From<std::io::Error>>() {}
    std_error::<quick_xml::Error>();
    from_io::<quick_xml::Error>();
}

/// The reader cuts each tag out of the input by the positions before and after its event.
#[test]
fn positions_are_those_of_the_tags() {
    let text = "<a b='>'>x&lt;<c/><![CDATA[d]]></a >";
    let mut reader = Reader::from_str(text);
    let mut cut = Vec::new();
    let mut start = 0;
    while reader.read_event().unwrap() != Event::Eof {
        let end = usize::try_from(reader.buffer_position()).unwrap();
        cut.push(&text[start..end]);
        start = end;
    }
    assert_eq!(cut, ["<a b='>'>", "x", "&lt;", "<c/>", "<![CDATA[d]]>", "</a >"]);
}
