"""The stack that Tofu's API was made with: Django, Django REST Framework and
djangorestframework-simplejwt with an e-mail user model, every setting that the
contract names at its default. It shares no code with Sallyport. The tests send
it the requests that they send to us and compare the answers.

Lines of JSON on stdin ask it something, one line on stdout answers:

  {"do": "user", "email": …, "password": …, "active": …}   make a user
  {"do": "pair", "id": …}                                   tokens for a user
  {"do": "read", "token": …, "type": …}                     verify a token as a view would
"""
import json
import logging
import sys
import threading
from wsgiref import simple_server

from django.conf import settings

logging.disable(logging.ERROR)  # what is refused is no news

settings.configure(
    SECRET_KEY=sys.argv[1],
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    AUTH_USER_MODEL="auth.User",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:reference?mode=memory&cache=shared", "OPTIONS": {"uri": True}}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "rest_framework_simplejwt"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick; what it costs is not compared
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"]},
    LOGGING_CONFIG=None,
    USE_TZ=True,
)

import django

django.setup()

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import path
from rest_framework import permissions, serializers
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt import views
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

# The user signs in by e-mail address.
User.USERNAME_FIELD, User.REQUIRED_FIELDS = "email", []

handler500 = "rest_framework.exceptions.server_error"


class Social(APIView):
    """Only as far as the check of its fields: there is no provider."""

    authentication_classes = ()
    permission_classes = ()

    class Fields(serializers.Serializer):
        code = serializers.CharField()
        redirect_uri = serializers.CharField()

    def post(self, request):
        fields = self.Fields(data=request.data)
        fields.is_valid(raise_exception=True)
        return Response(fields.validated_data)


class WorkOS(Social):
    class Fields(serializers.Serializer):
        code = serializers.CharField()


class Logout(APIView):
    permission_classes = (permissions.IsAuthenticated,)

    def post(self, request):
        return Response({"message": "Successfully logged out", "workos_logout_url": None, "redirect_to": "/login"})


urlpatterns = [
    path("api/token/", views.TokenObtainPairView.as_view()),
    path("api/token/refresh/", views.TokenRefreshView.as_view()),
    path("api/token/verify/", views.TokenVerifyView.as_view()),
    path("api/core/auth/workos/callback/", WorkOS.as_view()),
    path("api/core/auth/google/login/", Social.as_view()),
    path("api/core/auth/okta/login/", Social.as_view()),
    path("api/core/auth/logout/", Logout.as_view()),
]


class Handler(simple_server.WSGIRequestHandler):
    def get_environ(self):
        env = super().get_environ()
        if self.headers.get("Content-Type") is None:
            env["CONTENT_TYPE"] = ""  # wsgiref makes text/plain up; servers for production do not
        return env

    def log_message(self, *args):
        pass


def do(ask):
    if ask["do"] == "user":
        user = User.objects.create(username=ask["email"], email=ask["email"], password=make_password(ask["password"]), is_active=ask["active"])
        return {"id": user.pk}
    if ask["do"] == "pair":
        refresh = RefreshToken.for_user(User.objects.get(pk=ask["id"]))
        return {"refresh": str(refresh), "access": str(refresh.access_token)}
    if ask["do"] == "read":
        kind = {"access": AccessToken, "refresh": RefreshToken}[ask["type"]]
        try:
            return {"claims": kind(ask["token"]).payload}
        except TokenError as e:
            return {"error": str(e)}


call_command("migrate", verbosity=0)
server = simple_server.make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"at": "http://127.0.0.1:%d" % server.server_port}), flush=True)
for line in sys.stdin:
    print(json.dumps(do(json.loads(line))), flush=True)
