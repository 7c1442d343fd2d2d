package scim

import (
	"net/http"
	"strings"

	"sallyport/internal/directory"
	"sallyport/internal/wire"
)

// document answers with one of the documents in which the surface describes itself (RFC
// 7644 §4); nil is that there is none of the id.
func (a *API) document(build func(base, id string) map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := a.caller(r)
		if err == nil && r.URL.Query().Has("filter") { // a filter here must be refused (RFC 7644 §4)
			err = &problem{status: 403, detail: "These cannot be filtered."}
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		doc := build(wire.MountOf(r.Context()).Base+directory.Path, r.PathValue("id"))
		if doc == nil {
			a.NotFound(w, r)
			return
		}
		write(w, http.StatusOK, doc)
	}
}

func listOf(all ...any) map[string]any {
	return map[string]any{"schemas": []string{listURN}, "totalResults": len(all), "startIndex": 1, "itemsPerPage": len(all), "Resources": all}
}

// providerConfig tells what of the protocol there is (RFC 7643 §5).
func providerConfig(base, _ string) map[string]any {
	return map[string]any{
		"schemas":        []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":          map[string]any{"supported": true},
		"bulk":           map[string]any{"supported": true, "maxOperations": maxOperations, "maxPayloadSize": maxBody},
		"filter":         map[string]any{"supported": true, "maxResults": maxCount},
		"changePassword": map[string]any{"supported": false},
		"sort":           map[string]any{"supported": false},
		"etag":           map[string]any{"supported": true},
		"authenticationSchemes": []any{map[string]any{
			"type": "oauthbearertoken", "name": "Bearer token", "description": "A token of the organization's directory, from its settings", "primary": true,
		}},
		"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": base + "/ServiceProviderConfig"},
	}
}

func (t resourceType) document(base string) map[string]any {
	extensions := []any{}
	for _, s := range t.schemas[1:] {
		extensions = append(extensions, map[string]any{"schema": s.urn, "required": false})
	}
	return map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": t.name, "name": t.name, "description": t.schemas[0].about,
		"endpoint": t.path, "schema": t.schemas[0].urn, "schemaExtensions": extensions,
		"meta": map[string]any{"resourceType": "ResourceType", "location": base + "/ResourceTypes/" + t.name},
	}
}

func resourceTypes(base, _ string) map[string]any {
	return listOf(users.document(base), groups.document(base))
}

func oneResourceType(base, id string) map[string]any {
	for _, t := range []resourceType{users, groups} {
		if t.name == id {
			return t.document(base)
		}
	}
	return nil
}

var allSchemas = []schema{userSchema, groupSchema, enterpriseSchema}

func schemas(base, _ string) map[string]any {
	all := make([]any, len(allSchemas))
	for i, s := range allSchemas {
		all[i] = s.document(base)
	}
	return listOf(all...)
}

func oneSchema(base, id string) map[string]any {
	for _, s := range allSchemas {
		if strings.EqualFold(s.urn, id) {
			return s.document(base)
		}
	}
	return nil
}

func (s schema) document(base string) map[string]any {
	return map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Schema"}, "id": s.urn, "name": s.name, "description": s.about,
		"attributes": attributesDocument(s.attributes), "meta": map[string]any{"resourceType": "Schema", "location": base + "/Schemas/" + s.urn},
	}
}

// attributesDocument are attributes as a schema tells of them (RFC 7643 §7).
func attributesDocument(all []attribute) []any {
	out := make([]any, len(all))
	for i, a := range all {
		doc := map[string]any{
			"name": a.name, "type": a.kind, "multiValued": a.multi, "description": a.about, "required": a.required, "caseExact": a.exact,
			"mutability": or(a.mutable, "readWrite"), "returned": or(a.returned, "default"), "uniqueness": or(a.unique, "none"),
		}
		if len(a.subs) > 0 {
			doc["subAttributes"] = attributesDocument(a.subs)
		}
		if a.kind == ref {
			doc["referenceTypes"] = []string{"external"}
		}
		out[i] = doc
	}
	return out
}

func or(s, usual string) string {
	if s == "" {
		return usual
	}
	return s
}
