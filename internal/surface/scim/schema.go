package scim

import (
	"strings"
)

// The schemas and messages (RFC 7643 §8, RFC 7644 §8.2).
const (
	userURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	groupURN      = "urn:ietf:params:scim:schemas:core:2.0:Group"

	listURN    = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	searchURN  = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	patchURN   = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	bulkURN    = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkedURN  = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
	problemURN = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// attribute is one attribute of a schema (RFC 7643 §7).
type attribute struct {
	name     string
	kind     string // string, boolean, complex, reference, dateTime
	about    string
	multi    bool
	required bool
	exact    bool   // compared with regard to case
	mutable  string // "" is readWrite
	returned string // "" is default
	unique   string // "" is none
	subs     []attribute
}

// schema is a set of attributes.
type schema struct {
	urn, name, about string
	attributes       []attribute
}

// kinds of schemas' attributes.
const (
	text    = "string"
	boolean = "boolean"
	complex = "complex" //nolint:predeclared // the word of RFC 7643 §2.3.8
	ref     = "reference"
	instant = "dateTime"
)

const (
	readOnly  = "readOnly"
	writeOnly = "writeOnly"
)

// plural is an attribute of values with a type, as most are that somebody may have
// several of (RFC 7643 §2.4).
func plural(name, about, kind string) attribute {
	return attribute{name: name, kind: complex, about: about, multi: true, subs: []attribute{
		{name: "value", kind: kind, about: "The value"},
		{name: "display", kind: text, about: "How to show it"},
		{name: "type", kind: text, about: "What it is for, such as work"},
		{name: "primary", kind: boolean, about: "Whether it is the preferred one"},
	}}
}

// userSchema is what is kept of somebody (RFC 7643 §4.1). Passwords are not: people who
// come from a directory sign in there.
var userSchema = schema{urn: userURN, name: "User", about: "A person of the organization", attributes: []attribute{
	{name: "userName", kind: text, about: "What the directory calls them; unique in any case of letters", required: true, unique: "server"},
	{name: "name", kind: complex, about: "The parts of their name", subs: []attribute{
		{name: "formatted", kind: text, about: "The whole of it"},
		{name: "familyName", kind: text, about: "The family name"},
		{name: "givenName", kind: text, about: "The given name"},
		{name: "middleName", kind: text, about: "Names between"},
		{name: "honorificPrefix", kind: text, about: "What stands before it"},
		{name: "honorificSuffix", kind: text, about: "What stands after it"},
	}},
	{name: "displayName", kind: text, about: "What to show"},
	{name: "nickName", kind: text, about: "What they are called"},
	{name: "profileUrl", kind: ref, about: "A page about them"},
	{name: "title", kind: text, about: "What they do"},
	{name: "userType", kind: text, about: "How they belong to the organization"},
	{name: "preferredLanguage", kind: text, about: "The language that they prefer"},
	{name: "locale", kind: text, about: "How dates and numbers are written for them"},
	{name: "timezone", kind: text, about: "Where on the clock they are"},
	{name: "active", kind: boolean, about: "Whether they may come in; who may not is signed out at once"},
	{name: "password", kind: text, about: "Taken and not kept", mutable: writeOnly, returned: "never"},
	plural("emails", "Addresses; the primary one, or else that of type work, is their account's, of a domain that the organization has verified", text),
	plural("phoneNumbers", "Telephone numbers", text),
	plural("ims", "Addresses of instant messaging", text),
	plural("photos", "Pictures", ref),
	{name: "addresses", kind: complex, about: "Postal addresses", multi: true, subs: []attribute{
		{name: "formatted", kind: text, about: "The whole of it"},
		{name: "streetAddress", kind: text, about: "Street and house"},
		{name: "locality", kind: text, about: "The town"},
		{name: "region", kind: text, about: "The state or region"},
		{name: "postalCode", kind: text, about: "The postal code"},
		{name: "country", kind: text, about: "The country"},
		{name: "type", kind: text, about: "What it is for, such as work"},
		{name: "primary", kind: boolean, about: "Whether it is the preferred one"},
	}},
	{name: "groups", kind: complex, about: "The groups that they are in", multi: true, mutable: readOnly, subs: []attribute{
		{name: "value", kind: text, about: "The id of the group", exact: true, mutable: readOnly},
		{name: "$ref", kind: ref, about: "Where it is", exact: true, mutable: readOnly},
		{name: "display", kind: text, about: "What it is called", mutable: readOnly},
		{name: "type", kind: text, about: "Always direct", mutable: readOnly},
	}},
	plural("entitlements", "What they are entitled to; kept and not judged", text),
	plural("roles", "What they are elsewhere; kept and not judged", text),
}}

// enterpriseSchema is the extension for employees (RFC 7643 §4.3).
var enterpriseSchema = schema{urn: enterpriseURN, name: "EnterpriseUser", about: "A person as an employee", attributes: []attribute{
	{name: "employeeNumber", kind: text, about: "Their number in the organization"},
	{name: "costCenter", kind: text, about: "The cost center"},
	{name: "organization", kind: text, about: "The organization"},
	{name: "division", kind: text, about: "The division"},
	{name: "department", kind: text, about: "The department"},
	{name: "manager", kind: complex, about: "Who manages them", subs: []attribute{
		{name: "value", kind: text, about: "Their id"},
		{name: "$ref", kind: ref, about: "Where they are"},
		{name: "displayName", kind: text, about: "Their name"},
	}},
}}

// groupSchema is a group (RFC 7643 §4.2).
var groupSchema = schema{urn: groupURN, name: "Group", about: "A group of people of the organization", attributes: []attribute{
	{name: "displayName", kind: text, about: "What it is called; unique in any case of letters", required: true, unique: "server"},
	{name: "members", kind: complex, about: "Who is in it", multi: true, subs: []attribute{
		{name: "value", kind: text, about: "The id of a person", exact: true, mutable: "immutable"},
		{name: "$ref", kind: ref, about: "Where they are", exact: true, mutable: "immutable"},
		{name: "display", kind: text, about: "What they are called", mutable: readOnly},
		{name: "type", kind: text, about: "Always User", mutable: "immutable"},
	}},
}}

// common are the attributes of every resource (RFC 7643 §3.1).
var common = []attribute{
	{name: "id", kind: text, about: "The id of the resource", exact: true, mutable: readOnly, returned: "always", unique: "server"},
	{name: "externalId", kind: text, about: "The directory's own id of it", exact: true},
	{name: "schemas", kind: ref, about: "The schemas of the resource", multi: true, exact: true, returned: "always"},
	{name: "meta", kind: complex, about: "About the resource", mutable: readOnly, subs: []attribute{
		{name: "resourceType", kind: text, exact: true, mutable: readOnly},
		{name: "created", kind: instant, mutable: readOnly},
		{name: "lastModified", kind: instant, mutable: readOnly},
		{name: "location", kind: ref, exact: true, mutable: readOnly},
		{name: "version", kind: text, exact: true, mutable: readOnly},
	}},
}

// resourceType is a kind of resource: its own schema first, then what extends it.
type resourceType struct {
	name, path string
	schemas    []schema
}

var (
	users  = resourceType{"User", "/Users", []schema{userSchema, enterpriseSchema}}
	groups = resourceType{"Group", "/Groups", []schema{groupSchema}}
)

// find finds an attribute by its name in any case of letters: of the schema with the URN,
// or of the resource type's own and the common ones if there is none.
func (t resourceType) find(urn, name string) (attribute, bool) {
	for i, s := range t.schemas {
		if urn == "" && i > 0 || urn != "" && !strings.EqualFold(urn, s.urn) {
			continue
		}
		if a, ok := named(s.attributes, name); ok {
			return a, true
		}
		if i == 0 {
			return named(common, name)
		}
	}
	return attribute{}, false
}

// extension finds an extension by its URN.
func (t resourceType) extension(urn string) (schema, bool) {
	for _, s := range t.schemas[1:] {
		if strings.EqualFold(urn, s.urn) {
			return s, true
		}
	}
	return schema{}, false
}

func named(all []attribute, name string) (attribute, bool) {
	for _, a := range all {
		if strings.EqualFold(a.name, name) {
			return a, true
		}
	}
	return attribute{}, false
}
