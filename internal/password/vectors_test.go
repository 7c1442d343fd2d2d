package password

import "strings"

// vector is a password and a hash of it that another program made.
type vector struct{ origin, plain, encoded string }

// published are vectors from the formats' own documents and tests.
var published = []vector{
	{"phc-winner-argon2 test.c, argon2id", "password",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
	{"phc-winner-argon2 test.c, argon2i", "password",
		"$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"},
	{"crypt_blowfish 2a", "U*U",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	{"PHP manual, password_verify", "rasmuslerdorf",
		"$2y$07$BCryptRequires22Chrcte/VlQH0piJtjXl.0t1XkA8pw9dMXTpOq"},
	{"RFC 7914 §12", "pleaseletmein",
		"scrypt:16384:8:1$SodiumChloride$7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"},
	{"RFC 6070", "password",
		"pbkdf2:sha1:4096$salt$4b007901b765489abead49d926f721d065a429c1"},
	{"firebase/scrypt README", "user1password",
		"$firebase-scrypt$ln=14,r=8,sep=Bw==,key=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="},
	{"phpass test.php", "test12345",
		"$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0"},
}

// generated were made once with the programs' own code: argon2-cffi 25.1, bcrypt
// 4.0, Django 5.2, passlib 1.7, Werkzeug 3.1, with costs turned down where they
// allow it.
var generated = []vector{
	{"argon2-cffi id", "Grüße aus Köln 7!",
		"$argon2id$v=19$m=19456,t=2,p=1$xRhsXafWbVN+fQReJgO/Wg$yoTCwWR//QB9gBj6Yc19PwH8tK41/bI0u59Vk4SlUt0"},
	{"argon2-cffi id, RFC 9106 low memory", "Grüße aus Köln 7!",
		"$argon2id$v=19$m=65536,t=3,p=4$RtATdT4d0pSYpd68dF66cg$aC0hPcf+3JECWRwoa/DYh1i2DLP6jiRhWwk6sSMt6cc"},
	{"argon2-cffi i", "Grüße aus Köln 7!",
		"$argon2i$v=19$m=4096,t=3,p=2$9q0CFYcVehul+7eJvZDQHg$jHUyUU+8eUNL8JeGCVPGSg"},
	{"argon2-cffi id, long key", "Grüße aus Köln 7!",
		"$argon2id$v=19$m=1000,t=1,p=3$z1EDHDDdaUk8$Etb6cp0qo/pC4MId0hMKxyNBHnmL/E645IgY4Oy+xJI5u+p5FyGgqxEIXJ+yih0cFYSscu07NaoyiH1KNKLoAA"},
	{"bcrypt 2b", "Grüße aus Köln 7!",
		"$2b$05$gKMn5eQxDNDuNdGMwxAbauAc23ldIIL/Y2Mk/8o6Bi9p/E9cPGGL2"},
	{"bcrypt 2a", "Grüße aus Köln 7!",
		"$2a$04$wUT8N.oyFPrLLHV.KlL8Y.KSUPfFLr8ItftkHXTIJ2daSIe.q1kli"},
	{"bcrypt 2y (passlib)", "Grüße aus Köln 7!",
		"$2y$04$r7JLt8bnX5cF3/yUNkGiiOSlhcQh9jPhQ4V4PTsmGyQhGkUWQp/OC"},
	{"bcrypt 2b, 80 bytes", strings.Repeat("x", 80),
		"$2b$04$Kj75zcc.57IaKUjS9kE/6.0WK/5/sN3tce8FCDZcvZ60MB3clmdv6"},
	{"Django pbkdf2_sha256", "Grüße aus Köln 7!",
		"pbkdf2_sha256$20000$seasalt$MrjvqGaSI9wjpBQNOgc3DqnzeNvbrYrIaERjWPibIL8="},
	{"Django pbkdf2_sha1", "Grüße aus Köln 7!",
		"pbkdf2_sha1$10000$seasalt2$ocbOcr01BrC2uBKcJJh6GugigDI="},
	{"Django argon2", "Grüße aus Köln 7!",
		"argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHRzYWx0$nCAKyPMwH7OP06v93DhKlUqGSYzB0vZOv1njmYR4dAA"},
	{"Django bcrypt_sha256", strings.Repeat("x", 80),
		"bcrypt_sha256$$2b$04$vMAGY8w5d3XWXARTu.0Aou4toSkgkQW54thZZx9sZ.lY7OjTpoJru"},
	{"Django bcrypt", "Grüße aus Köln 7!",
		"bcrypt$$2b$04$GFKLRrzKt02FENEok6Xs.OAoW69LUfzGY3A9ztFcjd8kf8Q5BfaSO"},
	{"Django scrypt", "Grüße aus Köln 7!",
		"scrypt$1024$seasalt3$8$5$f6lZbFiXrgNkPadiJBdmr+e/TDBzbcqg+OtuN1XkQrJbNgH/ctDZKGgxvn/jjOlz5OmkDK230HWp3ISY6IoZRA=="},
	{"passlib scrypt", "Grüße aus Köln 7!",
		"$scrypt$ln=10,r=8,p=1$QwiBMMZ4z1mrVer9nxOC0A$8kIndKK2G9maLPa3hX/rEcqSpoPwf0AupNFiabl0HKo"},
	{"Werkzeug scrypt", "Grüße aus Köln 7!",
		"scrypt:2048:8:1$OTB7kXhM0CfM6m2S$4afda80f97203de11e162dc5af4572a1ccc97f8c9c48bfa07faf55e87fdd4e3782054a9d83b89b37635a95a8c03b5b897a18bd3104b2ca8638a4dfbf5a5b42b3"},
	{"Werkzeug scrypt default", "Grüße aus Köln 7!",
		"scrypt:32768:8:1$7HldMxjN1QCu6YP8$c90ffb0d6138023caa4da7b8cc2acfab9ade54ed9912918614ccd68569905c2ac08465efd7a556aa44179e8709a47738e4d072d7ca9441c9b87d7d1a7b757f13"},
	{"Werkzeug pbkdf2 sha256", "Grüße aus Köln 7!",
		"pbkdf2:sha256:1000$YJROAgDUJcvKtNND$a2ead01a500c40453074b2af50951a4a0843cd305fe031819145bc2fae794b1c"},
	{"Werkzeug pbkdf2 sha512", "Grüße aus Köln 7!",
		"pbkdf2:sha512:1000$yDUCqWG8ErUXD55o$2263b1ed7ae00a4850575d53544d499647085324d3ff2d6606642a6d9c518a7801105a747ca281fc3682961af3c951ddd41f2e4a8060fe5343b3c1932862bd89"},
	{"Werkzeug pbkdf2 sha1", "Grüße aus Köln 7!",
		"pbkdf2:sha1:1000$dDNRNYPohwPkztl4$f32ab667d9cfb5c9a0bbe4f785211f6df1cf4cd9"},
	{"phpass $P$", "Grüße aus Köln 7!",
		"$P$5Cgi92x8qtsBcxJtyzTn64RQIiBU.7."},
	{"phpass $H$", "Grüße aus Köln 7!",
		"$H$77bP/YHRpRajNbhmp07BvJVVsOPTym1"},
	{"LDAP SSHA", "Grüße aus Köln 7!",
		"{SSHA}hgxIo8nl2NYy3e4xt53jkSCR5nE7x9i7"},
	{"LDAP SSHA256", "Grüße aus Köln 7!",
		"{SSHA256}9fGId8sZCmHhQtS6Z+hrHZ0NfLKuuV2aCkzZnpfet/tVKgXA2HtvzQ=="},
	{"LDAP SSHA512", "Grüße aus Köln 7!",
		"{SSHA512}XYCQ1D099lDSeOIgNsUF4nlZEYtN1loaEphSu80ohXHR2vS2ooeVtTGgKxbg/PFEvfYwiSiuIyHFbqCiy93bQ/r/X0uJMQZA"},
}
