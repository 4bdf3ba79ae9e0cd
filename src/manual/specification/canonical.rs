//! Authentication without encryption: which bytes stand for a visible child, and how a receiver rebuilds a stanza.
//!
//! A stanza that is only authenticated goes as it is, so that servers and clients without this protocol can use
//! it. Its sender lists a digest for each child that it vouches for; what authenticates the list stands in one
//! element more. This chapter defines the digests, the list and the place of that element.
//!
//! # What counts of a child
//!
//! What is covered is not the text of a child but its tree, as the reader of [`stanza`](super::stanza) gives it:
//!
//! * the expanded names of elements and attributes: namespace name and local name. Prefixes and declarations do
//!   not count;
//! * the attributes without their order, an `xml:lang` on the element itself among them. One that is inherited
//!   does not count;
//! * character data: references resolved, CDATA as text, adjacent texts as one, and none that is empty.
//!
//! Comments and processing instructions are refused when read.
//!
//! **Reduced**, a child of the stanza that is in `jabber:client` and has one of these names keeps only its
//! meaning, for servers write it anew. Other attributes, empty ones and all child elements are left out, and the texts
//! between them become one.
//!
//! | child | what is kept |
//! |---|---|
//! | `body`, `subject`, `status` | text, `xml:lang` |
//! | `thread` | text, `parent` |
//! | `show` | text |
//! | `priority` | the number from -128 to 127, in decimal without needless sign and zeros; if it is none, text without the white space of XML before and after |
//!
//! Every other child is kept whole, and so is an element of these names further inside.
//!
//! **Folded**, white space is what the next parser makes of it where a server did not escape it: in text, CR LF
//! and CR are LF; in attributes, CR LF is one space, and TAB, LF and CR are each a space. Nothing else is
//! normalised: no Unicode, no case, no white space.
//!
//! A child that folding would change after it was reduced is *fragile*: some path changes what it says. A sender
//! must not cover it as it stands.
//!
//! # Canonical bytes
//!
//! Of the reduced and folded child:
//!
//! ```text
//! element   = 0x01 ‖ opaque namespace<V> ‖ opaque name<V> ‖ opaque attributes<V> ‖ children ‖ 0x00
//! attribute = opaque namespace<V> ‖ opaque name<V> ‖ opaque value<V>
//! text      = 0x02 ‖ opaque text<V>
//! ```
//!
//! No namespace is the empty one. `attributes` is the attributes one after the other, sorted by namespace, then
//! by name, as bytes. `children` is the elements and texts in document order. Texts are UTF-8.
//!
//! ```text
//! digest = SHA-256(opaque label<V> ‖ canonical bytes)         label = "xmpp-e2e 0 covered child"
//! ```
//!
//! # The list
//!
//! The digests of the stanza's child elements in their order, at most 64, without
//!
//! * those for servers, as [`stanza`](super::stanza) lists them,
//! * those that servers add: `delay` of `urn:xmpp:delay`, `x` of `jabber:x:delay`, `stanza-id` of
//!   `urn:xmpp:sid:0`, `archived` of `urn:xmpp:mam:tmp`, `x` of `vcard-temp:x:update`, `occupant-id` of
//!   `urn:xmpp:occupant-id:0`,
//! * those in the namespace of this protocol.
//!
//! Two equal children have two equal digests in the list. Text directly in the stanza is not covered.
//!
//! # The place of the authentication element
//!
//! In a message and a presence it is a child of the stanza. An iq has one child only, so there it stands inside
//! the last child element that is not in the namespace of this protocol, as that one's last child, with no text
//! after it; and directly in the iq if there is no such element. Two of them in that place count as none.
//!
//! Of that child of an iq, the elements at its end in the namespace of this protocol are not covered and are not
//! handed over.
//!
//! # How a receiver rebuilds
//!
//! 1. Of the children that can be in a list, each is reduced and folded, and its digest computed.
//! 2. For each digest of the list, in order, the first child not yet taken that has it is taken.
//! 3. For each digest left, in order, the first child not yet taken is taken that has it without its `xml:lang`:
//!    a `body`, `subject` or `status`. Some libraries write the inherited language there.
//! 4. A digest left is *missing*; a child left is *not covered*.
//!
//! | missing | not covered | result |
//! |---|---|---|
//! | none | none | the stanza |
//! | some, not all | none | the stanza, and how many are missing: an archive may drop children |
//! | none | some | the stanza without them, and their names: somebody added them |
//! | some | some | refused as altered or forged |
//! | all, of one or more | | refused as altered or forged |
//!
//! What is handed over is the children as they were taken, reduced and folded, in the order of the list; nothing
//! else of what came. So no name, place or number that somebody can change selects what is believed.
//!
//! # Vectors
//!
//! The bytes of one vector are broken over lines; they are one sequence. The default namespace around each
//! element is `jabber:client`.
//!
//! ```text
//! xml     <active xmlns='http://jabber.org/protocol/chatstates'/>
//! bytes   0125687474703a2f2f6a61626265722e6f72672f70726f746f636f6c2f63686174737461746573066163746976650000
//! digest  771d4b38d650aba543aac33ac10f72957c17f1a98b0fdaa4674b507bde9e10ab
//!
//! xml     <body xml:lang='de' color='red'>1 &lt; <b xmlns='urn:b'>x</b>2</body>
//! bytes   010d6a61626265723a636c69656e7404626f64792d24687474703a2f2f7777772e77332e6f72672f584d4c2f31393938
//! bytes   2f6e616d657370616365046c616e67026465020531203c203200
//! digest  7d50c2078000c784b9070cfd6dea292bf31c2db682d7b9f206bf9b4679d4c56e
//!
//! xml     <thread parent='p1' xml:lang='en'>t1</thread>
//! bytes   010d6a61626265723a636c69656e74067468726561640b0006706172656e740270310202743100
//! digest  7cfd5deee637c759a571a4dcdd0e7e139e0fe1d73827422e312412541ef61e97
//!
//! xml     <priority> 5 </priority>
//! bytes   010d6a61626265723a636c69656e74087072696f726974790002013500
//! digest  89fd0467e47c82c0819de39b1326e4b68e0784d806ea2e836978b6ab792d0552
//!
//! xml     <p:x xmlns:p='urn:x' z='1' p:y='2' xml:lang='' a='3'> <p:y/>a<![CDATA[&]]>&#xE9;<w xmlns=''/></p:x>
//! bytes   010575726e3a7801783f000161013300017a013124687474703a2f2f7777772e77332e6f72672f584d4c2f313939382f
//! bytes   6e616d657370616365046c616e67000575726e3a7801790132020120010575726e3a780179000002046126c3a9010001
//! bytes   77000000
//! digest  0543872627ad2635f620e346bc15f46a6bd228763a3ebf5aff553c2cca11dddb
//!
//! xml     <x xmlns='urn:x' a='1&#13;&#10;2&#9;3'>4&#13;&#10;5&#13;6</x>
//! bytes   010575726e3a780178090001610531203220330205340a350a3600
//! digest  948ac65f61ca64680ba9354784571027d56f3cefc15ec0d716803227318163cb
//! ```
//!
//! # What was learnt from others
//!
//! 93 stanzas were sent over 28 paths through Prosody and ejabberd: local, federated, to websockets, as carbons,
//! from archives and offline storage, resumed, in rooms, as PEP items, as presence. The repository keeps 89 of them
//! in `corpus`, and a test compares what arrived with what was covered. This form was the same wherever a stanza
//! arrived and could be read, but that an archive dropped a chat state; of the fragile ones the folded form was.
//!
//! | form | what it does | what the trial showed, or its attack | taken from it | why it was not enough |
//! |---|---|---|---|---|
//! | Exclusive C14N 1.0 | one text for a subtree, with the namespaces that it uses | broke on every path for a prefixed element, for both servers declare a default namespace instead; and on every path with Prosody for a prefixed attribute, for it names prefixes anew | nothing inherited counts; attributes sorted by namespace and name | prefixes are part of it |
//! | C14N 2.0 | the same, and can number the prefixes | survived but for references to CR in text and to TAB, LF, CR in attributes, which servers write unescaped | prefixes do not count | a tree that is parsed already needs no XML writer that two implementations must share to the byte; and white space has to be folded |
//! | XML Signature | signs references to elements, after transforms that the signature names | signature wrapping: the reference finds the signed element, the application another one; transforms may be computed before the signature is verified | a digest for each part, in a list that is signed | no reference and no transform here: what verifies is itself handed over, and all else is gone |
//! | XML Encryption | puts a ciphertext in the place of an element | its CBC modes have no integrity: a receiver that tells errors apart decrypts for the attacker, 14 requests a byte (Jager and Somorovsky, 2011); a later AEAD mode does not help receivers that still take the old ones | nothing; [`stanza`](super::stanza) seals with an AEAD that the suite fixes, and all failures look alike | |
//! | XEP-0285 | signs the stanza as text in base64 inside an envelope | base64 in a child survived every path | the opaque form, for children that are fragile | clients without it show nothing, servers see no body |
//! | XEP-0290 | XML Signature over a manifest: each child has an id attribute of the extension's namespace and a digest of its C14N 1.1 form | attributes added to `body` are lost at ejabberd, prefixed ones are renamed at Prosody; the id is what wrapping needs | the stanza stays readable; each child has a digest of its own, so one that is lost does not spoil the rest | ids and C14N |
//! | XEP-0420 | the children to be protected in one envelope, with recipient, sender, time and padding beside them; says what may stand inside and outside | it is for encryption: the envelope is not for clients without it | the list of what is for servers, and that it is dropped if found inside; addresses and time bound | nothing of it can be visible |
//!
//! Known children are covered by their meaning because ejabberd writes `body`, `subject`, `thread`, `show`,
//! `status` and `priority` anew and after the others: attributes and child elements of a `body` were lost on all
//! paths through it. The order comes from the list for the same reason.
