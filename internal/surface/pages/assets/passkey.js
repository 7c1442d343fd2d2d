// A passkey is asked of the browser when the form is sent that has data-options:
// first the options from there, then the person, and then the form, with what the
// browser said. Without passkeys the form stays hidden.
(function () {
  var form = document.querySelector("form[data-options]");
  if (!form || !window.PublicKeyCredential || !navigator.credentials || !window.fetch) return;
  var creates = form.dataset.ceremony === "create";
  var problem = document.getElementById("passkey-problem");
  var without = document.getElementById("passkey-without");
  form.classList.remove("hidden");
  if (without) without.classList.add("hidden");

  function bytes(s) {
    return Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), function (c) { return c.charCodeAt(0); });
  }
  function text(buffer) {
    var s = String.fromCharCode.apply(null, new Uint8Array(buffer));
    return btoa(s).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }
  // What WebAuthn Level 3 does itself (§5.1.10), for browsers before it.
  function read(o) {
    var parse = creates ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
    if (PublicKeyCredential[parse]) return PublicKeyCredential[parse](o);
    o.challenge = bytes(o.challenge);
    if (o.user) o.user.id = bytes(o.user.id);
    (o.excludeCredentials || o.allowCredentials || []).forEach(function (c) { c.id = bytes(c.id); });
    return o;
  }
  function write(credential) {
    // Password managers that stand in for the browser throw here.
    try { if (credential.toJSON) return JSON.stringify(credential); } catch (e) { /* by hand, then */ }
    var r = credential.response, out = {};
    ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"].forEach(function (name) {
      if (r[name]) out[name] = text(r[name]);
    });
    if (r.getTransports) out.transports = r.getTransports();
    return JSON.stringify({
      id: credential.id, rawId: text(credential.rawId), type: credential.type, response: out,
      clientExtensionResults: credential.getClientExtensionResults(), authenticatorAttachment: credential.authenticatorAttachment || undefined
    });
  }
  function say(words) {
    problem.textContent = words;
    problem.classList.toggle("hidden", !words);
  }

  var asking = false;
  form.addEventListener("submit", function (event) {
    event.preventDefault();
    if (asking) return;
    asking = true;
    say("");
    fetch(form.dataset.options, { method: "POST", body: new URLSearchParams(new FormData(form)) }).then(function (answer) {
      return answer.json();
    }).then(function (asked) {
      if (asked.error) return say(asked.error);
      form.elements.handle.value = asked.handle;
      var options = { publicKey: read(asked.options) };
      return (creates ? navigator.credentials.create(options) : navigator.credentials.get(options)).then(function (credential) {
        form.elements.response.value = write(credential);
        form.submit();
      });
    }).catch(function (e) {
      say(form.dataset[e.name === "NotAllowedError" || e.name === "AbortError" ? "cancelled" : e.name === "InvalidStateError" ? "have" : "failed"]);
    }).then(function () { asking = false; });
  });
})();
