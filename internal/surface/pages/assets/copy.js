// Each value that is to be pasted elsewhere has a button that copies it. Where
// that is not allowed, the button selects the value instead.
(function () {
  document.querySelectorAll("button[data-copy]").forEach(function (button) {
    var field = document.getElementById(button.dataset.copy), word = button.textContent;
    button.classList.remove("hidden");
    function say(text) {
      button.textContent = text;
      setTimeout(function () { button.textContent = word; }, 2000);
    }
    button.addEventListener("click", function () {
      field.select();
      if (!navigator.clipboard) return say("Selected");
      navigator.clipboard.writeText(field.value).then(function () { say("Copied"); }, function () { say("Selected"); });
    });
  });
})();
